/// A GGUF file, put together value by value.
#[derive(Clone, Default)]
struct Bytes(Vec<u8>);

const U8: u32 = 0;
const U32: u32 = 4;
const I32: u32 = 5;
const BOOL: u32 = 7;
const STRING: u32 = 8;
const ARRAY: u32 = 9;
const U64: u32 = 10;

const F32: u32 = 0;
const Q8_0: u32 = 8;
const I8: u32 = 24;
const Q2_K: u32 = 10;

impl Bytes {
    /// The fixed start of a file of version 3.
    fn start(tensors: u64, metadata: u64) -> Self {
        Self(b"GGUF".to_vec()).u32(3).u64(tensors).u64(metadata)
    }

    fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self
    }

    fn u32(self, value: u32) -> Self {
        self.raw(&value.to_le_bytes())
    }

    fn u64(self, value: u64) -> Self {
        self.raw(&value.to_le_bytes())
    }

    fn text(self, text: &str) -> Self {
        self.u64(text.len() as u64).raw(text.as_bytes())
    }

    /// A key and the type of its value.
    fn key(self, key: &str, kind: u32) -> Self {
        self.text(key).u32(kind)
    }

    /// A list's key, the type of its elements and their count.
    fn list(self, key: &str, element: u32, count: u64) -> Self {
        self.key(key, ARRAY).u32(element).u64(count)
    }

    /// A tensor's entry; `dims` fastest first as in the file.
    fn tensor(self, name: &str, dims: &[u64], kind: u32, offset: u64) -> Self {
        let entry = self.text(name).u32(dims.len() as u32);
        dims.iter().fold(entry, |entry, &dim| entry.u64(dim)).u32(kind).u64(offset)
    }

    /// Pad the header and append `len` zeros of data.
    fn data(mut self, len: usize) -> Vec<u8> {
        self.0.resize(self.0.len().next_multiple_of(32) + len, 0);
        self.0
    }
}

/// Two tensors and two entries of metadata, as they should be.
pub fn harmless() -> Vec<u8> {
    let file = Bytes::start(2, 2).key("general.alignment", U32).u32(64).key("general.name", STRING).text("model");
    let mut file = file.tensor("a", &[4, 2], F32, 0).tensor("b", &[64], Q8_0, 64).0;
    file.resize(file.len().next_multiple_of(64) + 64 + 68, 0);
    file
}

/// A file of some 4 KiB.
pub fn four_kibibytes() -> Vec<u8> {
    let mut file = Bytes::start(32, 3).key("general.name", STRING).text("model").key("flag", BOOL).raw(&[1]);
    file = file.list("list", STRING, 2).text("one").text("two");
    for index in 0..32 {
        file = file.tensor(&format!("layer.{index:02}.weight"), &[4, 4], F32, index * 64);
    }
    file.data(32 * 64)
}

/// Headers that use up one limit each.
pub fn largest() -> Vec<(&'static str, Vec<u8>)> {
    let mut tensors = Bytes::start(16_384, 0);
    for index in 0..16_384 {
        tensors = tensors.tensor(&format!("{index:0256}"), &[1, 1, 1, 1], F32, index * 32);
    }
    let mut entries = Bytes::start(0, 32_768);
    for index in 0..32_768 {
        entries = entries.key(&format!("{index:0200}"), STRING).text(&"x".repeat(200));
    }
    let long = 15 << 20;
    vec![
        ("tensors", tensors.data(16_384 * 32)),
        ("entries", entries.data(0)),
        ("text", Bytes::start(0, 1).key("k", STRING).text(&"x".repeat(long)).data(0)),
        ("empty texts", Bytes::start(0, 1).list("k", STRING, long as u64 / 8).raw(&vec![0; long]).data(0)),
        ("integers", Bytes::start(0, 1).list("k", I32, long as u64 / 4).raw(&vec![0; long]).data(0)),
        ("bytes", Bytes::start(0, 1).list("k", U8, long as u64).raw(&vec![0; long]).data(0)),
    ]
}

/// Headers whose lengths only a huge file makes plausible.
pub fn huge() -> Vec<(&'static str, Vec<u8>)> {
    let tebi = 1 << 40;
    vec![
        ("key of 1 TiB", Bytes::start(0, 1).u64(tebi).0),
        ("text of 1 TiB", Bytes::start(0, 1).key("k", STRING).u64(tebi).0),
        ("list of 2^40 texts", Bytes::start(0, 1).list("k", STRING, tebi).0),
        ("list of 2^40 integers", Bytes::start(0, 1).list("k", I32, tebi).0),
        ("list of 2^40 bytes", Bytes::start(0, 1).list("k", U8, tebi).0),
        ("2^40 tensors", Bytes::start(tebi, 0).0),
        ("2^40 entries", Bytes::start(0, tebi).0),
        ("name of 1 TiB", Bytes::start(1, 0).u64(tebi).0),
    ]
}

/// Files that must be refused, each for one reason.
pub fn cases() -> Vec<(&'static str, Vec<u8>)> {
    let mut cases = head_cases();
    cases.extend(metadata_cases());
    cases.extend(tensor_cases());
    cases.extend(layout_cases());
    cases
}

fn head_cases() -> Vec<(&'static str, Vec<u8>)> {
    let version = |version: u32| Bytes(b"GGUF".to_vec()).u32(version).u64(0).u64(0).data(0);
    vec![
        ("empty", vec![]),
        ("magic alone", b"GGUF".to_vec()),
        ("magic in lower case", Bytes(b"gguf".to_vec()).u32(3).u64(0).u64(0).data(0)),
        ("magic of the predecessor", Bytes(b"ggjt".to_vec()).u32(3).u64(0).u64(0).data(0)),
        ("version 0", version(0)),
        ("version 1", version(1)),
        ("version 4", version(4)),
        ("big-endian version 3", version(3u32.swap_bytes())),
        ("no counts", Bytes(b"GGUF".to_vec()).u32(3).0),
        ("tensors of the greatest count", Bytes::start(u64::MAX, 0).data(64)),
        ("tensor count that wraps when multiplied", Bytes::start(u64::MAX / 25 + 1, 0).data(64)),
        ("more tensors than bytes", Bytes::start(16_384, 0).data(64)),
        ("16,385 tensors", Bytes::start(16_385, 0).data(1 << 20)),
        ("entries of the greatest count", Bytes::start(0, u64::MAX).data(64)),
        ("more entries than bytes", Bytes::start(0, 1000).data(64)),
        ("32,769 entries", Bytes::start(0, 32_769).data(1 << 20)),
    ]
}

fn metadata_cases() -> Vec<(&'static str, Vec<u8>)> {
    let one = || Bytes::start(0, 1);
    vec![
        ("key of the greatest length", one().u64(u64::MAX).data(64)),
        ("key whose length wraps with its terminator", one().u64(u64::MAX - 1).raw(b"key").data(64)),
        ("key longer than the file", one().u64(1000).raw(b"key").data(64)),
        ("empty key", one().key("", U32).u32(1).data(64)),
        ("key that is not UTF-8", one().u64(2).raw(&[0xff, 0xfe]).u32(U32).u32(1).data(64)),
        ("key twice", Bytes::start(0, 2).key("k", U32).u32(1).key("k", U32).u32(1).data(64)),
        ("key twice with other types", Bytes::start(0, 2).key("k", U32).u32(1).key("k", BOOL).raw(&[1]).data(64)),
        ("unknown type", one().key("k", 13).u64(0).data(64)),
        ("greatest type", one().key("k", u32::MAX).u64(0).data(64)),
        ("truth value of 2", one().key("k", BOOL).raw(&[2]).data(64)),
        ("text of the greatest length", one().key("k", STRING).u64(u64::MAX).data(64)),
        ("text longer than the file", one().key("k", STRING).u64(1 << 20).raw(b"short").data(64)),
        ("text that is not UTF-8", one().key("k", STRING).u64(1).raw(&[0x80]).data(64)),
        ("value cut off", one().key("some.key", U64).raw(&[1, 2, 3]).0),
        ("list of lists", one().list("k", ARRAY, 1).u32(U8).u64(1).raw(&[1]).data(64)),
        ("list of unknown type", one().list("k", 99, 1).data(64)),
        ("list of bytes of the greatest length", one().list("k", U8, u64::MAX).data(64)),
        ("list whose bytes wrap to 0", one().list("k", U64, 1 << 61).data(64)),
        ("list of integers whose bytes wrap", one().list("k", I32, (1 << 62) + 1).data(64)),
        ("list of texts of the greatest length", one().list("k", STRING, u64::MAX).data(64)),
        ("list of texts with one too long", one().list("k", STRING, 2).text("a").u64(u64::MAX).data(64)),
        ("list longer than the file", one().list("k", I32, 100).data(64)),
        ("alignment 0", one().key("general.alignment", U32).u32(0).data(64)),
        ("alignment 48", one().key("general.alignment", U32).u32(48).data(64)),
        ("alignment 8192", one().key("general.alignment", U32).u32(8192).data(1 << 14)),
        ("greatest alignment", one().key("general.alignment", U32).u32(u32::MAX).data(64)),
        ("alignment as text", one().key("general.alignment", STRING).text("32").data(64)),
        ("alignment of 64 bits", one().key("general.alignment", U64).u64(32).data(64)),
    ]
}

fn tensor_cases() -> Vec<(&'static str, Vec<u8>)> {
    let one = |dims: &[u64], kind| Bytes::start(1, 0).tensor("t", dims, kind, 0).data(256);
    let named = |name: &str| Bytes::start(1, 0).tensor(name, &[1], F32, 0).data(64);
    let original = |dims: &[i32]| {
        let list = Bytes::start(1, 1).list("comfy.gguf.orig_shape.t", I32, dims.len() as u64);
        dims.iter().fold(list, |list, dim| list.raw(&dim.to_le_bytes())).tensor("t", &[8], F32, 0).data(64)
    };
    vec![
        ("five dimensions", one(&[1, 1, 1, 1, 1], F32)),
        ("greatest count of dimensions", Bytes::start(1, 0).text("t").u32(u32::MAX).data(256)),
        ("zero dimension", one(&[0], F32)),
        ("zero beside a huge dimension", one(&[u64::MAX, 0], F32)),
        ("product that wraps to 0", one(&[1 << 32, 1 << 32], F32)),
        ("product that wraps to 4", one(&[(1 << 62) + 1, 4], F32)),
        ("product of four that wraps", one(&[1 << 16, 1 << 16, 1 << 16, 1 << 16], F32)),
        ("elements past 63 bits", one(&[1 << 63], I8)),
        ("negative dimension as the writer saw it", one(&[u64::MAX], F32)),
        ("bytes that wrap to 0", one(&[1 << 62], F32)),
        ("quantised bytes that wrap", one(&[1 << 62, 1], Q8_0)),
        ("product that wraps in a kind that is not read", one(&[1 << 40, 1 << 40], Q2_K)),
        ("rows that do not fill blocks", one(&[31], Q8_0)),
        ("rows that fill blocks only together", one(&[16, 2], Q8_0)),
        ("empty name", named("")),
        ("name that climbs", named("../../etc/passwd")),
        ("name with a zero byte", named("a\0b")),
        ("name of 257 bytes", named(&"x".repeat(257))),
        ("name of the greatest length", Bytes::start(1, 0).u64(u64::MAX).data(256)),
        ("name that is not UTF-8", Bytes::start(1, 0).u64(1).raw(&[0xff]).u32(0).u32(F32).u64(0).data(256)),
        ("original shape of other size", original(&[3, 3])),
        ("original shape below zero", original(&[-2, -4])),
        ("original shape with a zero", original(&[0, 8])),
        ("original shape whose product wraps", original(&[i32::MAX, i32::MAX, i32::MAX])),
        ("original shape of nine dimensions", original(&[8, 1, 1, 1, 1, 1, 1, 1, 1])),
        (
            "original shape as text",
            Bytes::start(1, 1).key("comfy.gguf.orig_shape.t", STRING).text("8").tensor("t", &[8], F32, 0).data(64),
        ),
    ]
}

fn layout_cases() -> Vec<(&'static str, Vec<u8>)> {
    let at = |offset| Bytes::start(1, 0).tensor("t", &[8], F32, offset).data(64);
    let two =
        |first, second| Bytes::start(2, 0).tensor("a", &[16], F32, first).tensor("b", &[16], F32, second).data(128);
    let kinds = |first, second| Bytes::start(2, 0).tensor("a", &[8], first, 0).tensor("a", &[8], second, 32).data(64);
    vec![
        ("offset off the alignment", at(4)),
        ("offset past the end", at(64)),
        ("greatest offset", at(u64::MAX)),
        ("offset that wraps with the size", at(u64::MAX - 31)),
        ("offset that wraps with the start of the data", at(u64::MAX - 127)),
        ("data cut off", Bytes::start(1, 0).tensor("t", &[8], F32, 0).data(31)),
        ("no data", Bytes::start(1, 0).tensor("t", &[8], F32, 0).0),
        ("data of a kind that is not read cut off", Bytes::start(1, 0).tensor("t", &[256], Q2_K, 0).data(0)),
        ("same bytes twice", two(0, 0)),
        ("overlap", two(0, 32)),
        ("overlap the other way round", two(32, 0)),
        ("name twice", kinds(F32, F32)),
        ("name twice, once in a kind that is not read", kinds(F32, Q2_K)),
        ("name twice in kinds that are not read", kinds(Q2_K, Q2_K)),
        ("list of tensors cut off", Bytes::start(2, 0).tensor("a", &[8], F32, 0).text("b").u32(1).u64(8).0),
    ]
}
