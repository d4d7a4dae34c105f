//! Vectors of four numbers: wasm's SIMD, or arrays where there is another.

#![cfg_attr(
    target_arch = "wasm32",
    expect(unsafe_code, reason = "loads and stores take pointers; lengths are compared first")
)]

/// Numbers of a vector.
pub const LANES: usize = 4;

/// Rounds a number of less than 2^22 when it is added to it: the whole part stands in the lowest bits then.
pub const ROUND: f32 = 12_582_912.0;
/// Where the exponent begins in a number's bits.
const EXPONENT_AT: u32 = 23;
/// The bits of 1.
const ONE: i32 = 127 << EXPONENT_AT;

#[cfg(target_arch = "wasm32")]
pub use wasm::{
    Vector, abs, add, div, load, madd, max, min, mul, power_of_two, select_negative, splat, store, sub, transpose,
};

#[cfg(not(target_arch = "wasm32"))]
pub use portable::{
    Vector, abs, add, div, load, madd, max, min, mul, power_of_two, select_negative, splat, store, sub, transpose,
};

#[cfg(target_arch = "wasm32")]
mod wasm {
    use core::arch::wasm32 as simd;

    /// Four numbers.
    pub type Vector = simd::v128;

    /// The first four of a slice.
    #[inline]
    #[target_feature(enable = "simd128")]
    pub fn load(values: &[f32]) -> Vector {
        let first: &[f32; 4] = values.first_chunk().expect("four numbers to load");
        // SAFETY: the four are there, and any alignment will do.
        unsafe { simd::v128_load(first.as_ptr().cast()) }
    }

    /// Overwrites the first four of a slice.
    #[inline]
    #[target_feature(enable = "simd128")]
    pub fn store(vector: Vector, values: &mut [f32]) {
        let first: &mut [f32; 4] = values.first_chunk_mut().expect("room for four numbers");
        // SAFETY: the four are there, and any alignment will do.
        unsafe { simd::v128_store(first.as_mut_ptr().cast(), vector) }
    }

    /// One number four times.
    #[inline]
    #[target_feature(enable = "simd128")]
    pub fn splat(value: f32) -> Vector {
        simd::f32x4_splat(value)
    }

    /// `a + b`.
    #[inline]
    #[target_feature(enable = "simd128")]
    pub fn add(a: Vector, b: Vector) -> Vector {
        simd::f32x4_add(a, b)
    }

    /// `a - b`.
    #[inline]
    #[target_feature(enable = "simd128")]
    pub fn sub(a: Vector, b: Vector) -> Vector {
        simd::f32x4_sub(a, b)
    }

    /// `a b`.
    #[inline]
    #[target_feature(enable = "simd128")]
    pub fn mul(a: Vector, b: Vector) -> Vector {
        simd::f32x4_mul(a, b)
    }

    /// `a b + c`.
    #[inline]
    #[target_feature(enable = "simd128")]
    pub fn madd(a: Vector, b: Vector, c: Vector) -> Vector {
        simd::f32x4_add(simd::f32x4_mul(a, b), c)
    }

    /// `a / b`.
    #[inline]
    #[target_feature(enable = "simd128")]
    pub fn div(a: Vector, b: Vector) -> Vector {
        simd::f32x4_div(a, b)
    }

    /// `b` where it is less than `a`, else `a`: also where `a` is no number.
    #[inline]
    #[target_feature(enable = "simd128")]
    pub fn min(a: Vector, b: Vector) -> Vector {
        simd::f32x4_pmin(a, b)
    }

    /// `b` where it is greater than `a`, else `a`: also where `a` is no number.
    #[inline]
    #[target_feature(enable = "simd128")]
    pub fn max(a: Vector, b: Vector) -> Vector {
        simd::f32x4_pmax(a, b)
    }

    /// Without the sign.
    #[inline]
    #[target_feature(enable = "simd128")]
    pub fn abs(a: Vector) -> Vector {
        simd::f32x4_abs(a)
    }

    /// 2 to the power of the whole numbers that [`ROUND`](super::ROUND) was added to, from -126 to 127.
    #[inline]
    #[target_feature(enable = "simd128")]
    pub fn power_of_two(shifted: Vector) -> Vector {
        simd::i32x4_add(simd::i32x4_shl(shifted, super::EXPONENT_AT), simd::i32x4_splat(super::ONE))
    }

    /// `a` where `sign` is below zero, else `b`.
    #[inline]
    #[target_feature(enable = "simd128")]
    pub fn select_negative(sign: Vector, a: Vector, b: Vector) -> Vector {
        simd::v128_bitselect(a, b, simd::f32x4_lt(sign, simd::f32x4_splat(0.0)))
    }

    /// Rows become columns.
    #[inline]
    #[target_feature(enable = "simd128")]
    pub fn transpose([a, b, c, d]: [Vector; 4]) -> [Vector; 4] {
        let (low_ab, high_ab) = (simd::i32x4_shuffle::<0, 4, 1, 5>(a, b), simd::i32x4_shuffle::<2, 6, 3, 7>(a, b));
        let (low_cd, high_cd) = (simd::i32x4_shuffle::<0, 4, 1, 5>(c, d), simd::i32x4_shuffle::<2, 6, 3, 7>(c, d));
        [
            simd::i64x2_shuffle::<0, 2>(low_ab, low_cd),
            simd::i64x2_shuffle::<1, 3>(low_ab, low_cd),
            simd::i64x2_shuffle::<0, 2>(high_ab, high_cd),
            simd::i64x2_shuffle::<1, 3>(high_ab, high_cd),
        ]
    }
}

#[cfg(not(target_arch = "wasm32"))]
mod portable {
    use std::array::from_fn;

    /// Four numbers.
    pub type Vector = [f32; 4];

    /// The first four of a slice.
    #[inline]
    pub fn load(values: &[f32]) -> Vector {
        *values.first_chunk().expect("four numbers to load")
    }

    /// Overwrites the first four of a slice.
    #[inline]
    pub fn store(vector: Vector, values: &mut [f32]) {
        *values.first_chunk_mut().expect("room for four numbers") = vector;
    }

    /// One number four times.
    #[inline]
    pub const fn splat(value: f32) -> Vector {
        [value; 4]
    }

    /// `a + b`.
    #[inline]
    pub fn add(a: Vector, b: Vector) -> Vector {
        from_fn(|lane| a[lane] + b[lane])
    }

    /// `a - b`.
    #[inline]
    pub fn sub(a: Vector, b: Vector) -> Vector {
        from_fn(|lane| a[lane] - b[lane])
    }

    /// `a b`.
    #[inline]
    pub fn mul(a: Vector, b: Vector) -> Vector {
        from_fn(|lane| a[lane] * b[lane])
    }

    /// `a b + c`.
    #[inline]
    pub fn madd(a: Vector, b: Vector, c: Vector) -> Vector {
        from_fn(|lane| a[lane] * b[lane] + c[lane])
    }

    /// `a / b`.
    #[inline]
    pub fn div(a: Vector, b: Vector) -> Vector {
        from_fn(|lane| a[lane] / b[lane])
    }

    /// `b` where it is less than `a`, else `a`: also where `a` is no number.
    #[inline]
    pub fn min(a: Vector, b: Vector) -> Vector {
        from_fn(|lane| if b[lane] < a[lane] { b[lane] } else { a[lane] })
    }

    /// `b` where it is greater than `a`, else `a`: also where `a` is no number.
    #[inline]
    pub fn max(a: Vector, b: Vector) -> Vector {
        from_fn(|lane| if a[lane] < b[lane] { b[lane] } else { a[lane] })
    }

    /// Without the sign.
    #[inline]
    pub fn abs(a: Vector) -> Vector {
        a.map(f32::abs)
    }

    /// 2 to the power of the whole numbers that [`ROUND`](super::ROUND) was added to, from -126 to 127.
    #[inline]
    pub fn power_of_two(shifted: Vector) -> Vector {
        shifted.map(|shifted| f32::from_bits((shifted.to_bits() << super::EXPONENT_AT).wrapping_add(super::ONE as u32)))
    }

    /// `a` where `sign` is below zero, else `b`.
    #[inline]
    pub fn select_negative(sign: Vector, a: Vector, b: Vector) -> Vector {
        from_fn(|lane| if sign[lane] < 0.0 { a[lane] } else { b[lane] })
    }

    /// Rows become columns.
    #[inline]
    pub fn transpose(rows: [Vector; 4]) -> [Vector; 4] {
        from_fn(|column| rows.map(|row| row[column]))
    }
}

/// The sum of a vector's numbers.
#[inline]
#[cfg_attr(target_arch = "wasm32", target_feature(enable = "simd128"))]
pub fn sum(vector: Vector) -> f32 {
    numbers(vector).iter().sum()
}

/// The greatest of a vector's numbers.
#[inline]
#[cfg_attr(target_arch = "wasm32", target_feature(enable = "simd128"))]
pub fn greatest(vector: Vector) -> f32 {
    numbers(vector).into_iter().fold(f32::NEG_INFINITY, f32::max)
}

#[inline]
#[cfg_attr(target_arch = "wasm32", target_feature(enable = "simd128"))]
fn numbers(vector: Vector) -> [f32; LANES] {
    let mut numbers = [0.0; LANES];
    store(vector, &mut numbers);
    numbers
}
