//! The tile with relaxed SIMD, as a module of its own.
//!
//! A wasm module with one instruction that a browser does not know is refused whole, so the engine itself has none of them. This
//! module has the [tile](super::tile)'s kernels alone, with one instruction for multiply and add, on the engine's own memory: neither
//! stack nor data. Whoever runs the engine asks the browser whether [`module`] is valid, and puts its functions into the engine's table
//! of functions at [`places`]; from then on every product calls them, without JavaScript between.

use super::simd::LANES;
use super::tile::{COLUMNS, KERNELS, ROWS};

/// What the module imports its memory as, module and name both.
pub const MEMORY: &str = "m";

/// Names of the module's functions, in the order of [`places`].
pub const FUNCTIONS: [&str; ROWS] = ["1", "2", "3", "4"];

/// Where the functions belong in the table of the program that is running.
pub fn places() -> [u32; ROWS] {
    KERNELS.map(|kernel| kernel as usize as u32)
}

/// The module's bytes (WebAssembly Core Specification 3.0, section 5).
pub fn module() -> Vec<u8> {
    let mut module = b"\0asm\x01\0\0\0".to_vec();
    let i32s = [I32; PARAMETERS as usize];
    section(&mut module, 1, 1, &[&[0x60, PARAMETERS as u8], &i32s[..], &[0]].concat());
    section(&mut module, 2, 1, &[&name(MEMORY)[..], &name(MEMORY), &[0x02, 0x00, 0x00]].concat());
    section(&mut module, 3, ROWS, &[0; ROWS]);
    let exports =
        FUNCTIONS.iter().zip(0_u8..).flat_map(|(function, index)| [name(function), vec![0x00, index]].concat());
    section(&mut module, 7, ROWS, &exports.collect::<Vec<_>>());
    let bodies = (1..=ROWS).flat_map(|rows| {
        let body = Body::kernel(rows as u32);
        [unsigned(body.len() as u32), body].concat()
    });
    section(&mut module, 10, ROWS, &bodies.collect::<Vec<_>>());
    module
}

/// Parameters of a kernel, all of them i32: see [`super::tile::Kernel`].
const PARAMETERS: u32 = 8;
const A: u32 = 0;
const A_ROW: u32 = 1;
const A_COLUMN: u32 = 2;
const B: u32 = 3;
const B_ROW: u32 = 4;
const C: u32 = 5;
const C_ROW: u32 = 6;
const DEPTH: u32 = 7;
const I32: u8 = 0x7f;
const V128: u8 = 0x7b;
/// Vectors of a row of the tile.
const VECTORS: u32 = (COLUMNS / LANES) as u32;

/// The instructions of a function.
#[derive(Default)]
struct Body {
    code: Vec<u8>,
}

impl Body {
    /// The kernel of so many rows, with the declarations of its locals.
    fn kernel(rows: u32) -> Vec<u8> {
        let pointers = 2 * (rows - 1);
        let vectors = rows * VECTORS + VECTORS + 1;
        let mut body = Self::default();
        body.code.push(2);
        body.code.extend([unsigned(pointers), vec![I32], unsigned(vectors), vec![V128]].concat());
        let a = |row: u32| if row == 0 { A } else { PARAMETERS + row - 1 };
        let c = |row: u32| if row == 0 { C } else { PARAMETERS + rows - 1 + row - 1 };
        let sum = |row: u32, vector: u32| PARAMETERS + pointers + row * VECTORS + vector;
        let right = |vector: u32| sum(rows, vector);
        let factor = right(VECTORS);

        for row in 1..rows {
            body.set_to_sum(a(row), a(row - 1), A_ROW).set_to_sum(c(row), c(row - 1), C_ROW);
        }
        for (row, vector) in places_of(rows) {
            body.get(c(row)).load(vector).set(sum(row, vector));
        }
        body.op(&[0x03, 0x40]);
        for vector in 0..VECTORS {
            body.get(B).load(vector).set(right(vector));
        }
        body.set_to_sum(B, B, B_ROW);
        for row in 0..rows {
            body.get(a(row)).load_splat().set(factor);
            for vector in 0..VECTORS {
                body.get(factor).get(right(vector)).get(sum(row, vector)).madd().set(sum(row, vector));
            }
            body.set_to_sum(a(row), a(row), A_COLUMN);
        }
        // Depth is one less; once more unless it is zero.
        body.get(DEPTH).op(&[0x41, 1, 0x6b, 0x22]).op(&unsigned(DEPTH)).op(&[0x0d, 0, 0x0b]);
        for (row, vector) in places_of(rows) {
            body.get(c(row)).get(sum(row, vector)).store(vector);
        }
        body.op(&[0x0b]);
        body.code
    }

    fn op(&mut self, bytes: &[u8]) -> &mut Self {
        self.code.extend_from_slice(bytes);
        self
    }

    fn get(&mut self, local: u32) -> &mut Self {
        self.op(&[0x20]).op(&unsigned(local))
    }

    fn set(&mut self, local: u32) -> &mut Self {
        self.op(&[0x21]).op(&unsigned(local))
    }

    fn set_to_sum(&mut self, to: u32, a: u32, b: u32) -> &mut Self {
        self.get(a).get(b).op(&[0x6a]).set(to)
    }

    /// `v128.load`, aligned to nothing, as the others are.
    fn load(&mut self, vector: u32) -> &mut Self {
        self.op(&[0xfd, 0x00, 0]).op(&unsigned(vector * 16))
    }

    /// `v128.load32_splat`.
    fn load_splat(&mut self) -> &mut Self {
        self.op(&[0xfd, 0x09, 0, 0])
    }

    /// `v128.store`.
    fn store(&mut self, vector: u32) -> &mut Self {
        self.op(&[0xfd, 0x0b, 0]).op(&unsigned(vector * 16))
    }

    /// `f32x4.relaxed_madd`.
    fn madd(&mut self) -> &mut Self {
        self.op(&[0xfd]).op(&unsigned(0x105))
    }
}

/// Each row's vectors.
fn places_of(rows: u32) -> impl Iterator<Item = (u32, u32)> {
    (0..rows).flat_map(|row| (0..VECTORS).map(move |vector| (row, vector)))
}

fn section(module: &mut Vec<u8>, id: u8, count: usize, entries: &[u8]) {
    let content = [&unsigned(count as u32)[..], entries].concat();
    module.push(id);
    module.extend(unsigned(content.len() as u32));
    module.extend(content);
}

fn name(name: &str) -> Vec<u8> {
    [&unsigned(name.len() as u32), name.as_bytes()].concat()
}

/// LEB128.
fn unsigned(mut value: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}
