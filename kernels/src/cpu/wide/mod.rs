//! The same operations for a native program on x86-64: vectors of 256 or 512 bits, and threads.
//!
//! Every product is made of one tile ([`tile`]): eight outputs of a packed matrix, which is read as it lies
//! ([`PackedWeight`](crate::packed::PackedWeight)), by a panel of 32 pixels, tokens or queries, which is unfolded or turned for a
//! stretch of the depth that fits the nearest cache. So no layer unfolds its whole input, none packs its weights when it runs, and
//! bias, activation and residual are added on the way out. Work is divided among the threads of rayon's pool; how many there are
//! changes no sum.

#![expect(
    unsafe_code,
    reason = "vector instructions that were detected first, and threads that write to parts of one tensor"
)]

pub mod attention;
pub mod conv3x3;
mod division;
mod functions;
pub mod matmul;
pub mod norm;
mod shared;
mod tile;
mod transpose;

/// The vectors that this machine has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// 256 bits, multiplied and added at once: x86-64-v3.
    V3,
    /// 512 bits: x86-64-v4.
    V4,
}

impl Level {
    /// What was detected; `None` where there are no such vectors.
    pub fn detected() -> Option<Self> {
        let has_v3 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
        let has_v4 = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl");
        if !has_v3 {
            return None;
        }
        Some(if has_v4 { Self::V4 } else { Self::V3 })
    }
}

/// Compiles a function once for each [`Level`], and calls the one that its first argument says.
macro_rules! leveled {
    ($(#[$meta:meta])* $vis:vis fn $name:ident($($argument:ident: $kind:ty),* $(,)?) $(-> $result:ty)? $body:block) => {
        $(#[$meta])*
        $vis fn $name(level: $crate::cpu::wide::Level, $($argument: $kind),*) $(-> $result)? {
            #[inline(always)]
            fn body($($argument: $kind),*) $(-> $result)? $body

            #[target_feature(enable = "avx2,fma")]
            fn v3($($argument: $kind),*) $(-> $result)? {
                body($($argument),*)
            }

            #[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl")]
            fn v4($($argument: $kind),*) $(-> $result)? {
                body($($argument),*)
            }

            match level {
                // SAFETY: the level was detected.
                $crate::cpu::wide::Level::V3 => unsafe { v3($($argument),*) },
                // SAFETY: the level was detected.
                $crate::cpu::wide::Level::V4 => unsafe { v4($($argument),*) },
            }
        }
    };
}
use leveled;
