use std::fmt::Write as _;

/// A file of `header` and `data` zeros.
pub fn file(header: &str, data: usize) -> Vec<u8> {
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.as_bytes());
    file.resize(file.len() + data, 0);
    file
}

/// A file of one tensor entry.
fn one(name: &str, entry: &str, data: usize) -> Vec<u8> {
    file(&format!(r#"{{"{name}":{entry}}}"#), data)
}

/// An entry of single precision.
fn f32s(shape: &str, begin: u64, end: u64) -> String {
    format!(r#"{{"dtype":"F32","shape":{shape},"data_offsets":[{begin},{end}]}}"#)
}

/// Two tensors, as they should be.
pub fn harmless() -> Vec<u8> {
    file(&format!(r#"{{"a":{},"b":{}}}"#, f32s("[1]", 0, 4), f32s("[]", 4, 8)), 8)
}

/// A file of some 4 KiB.
pub fn four_kibibytes() -> Vec<u8> {
    let mut header = r#"{"__metadata__":{"format":"pt"}"#.to_owned();
    for index in 0..40 {
        write!(header, r#","layer.{index}.weight":{}"#, f32s("[2,4]", index * 32, (index + 1) * 32)).unwrap();
    }
    file(&(header + "}"), 40 * 32)
}

/// As many tensors, names and dimensions as are accepted, in a header of nearly the greatest length.
pub fn largest() -> Vec<u8> {
    let mut header = "{".to_owned();
    for index in 0..16_384 {
        let comma = if index == 0 { "" } else { "," };
        let entry = f32s("[1,1,1,1,1,1,1,1]", index * 4, (index + 1) * 4);
        write!(header, r#"{comma}"{index:0200}":{entry}"#).unwrap();
    }
    let rest = (8 << 20) - header.len() - r#","__metadata__":{"k":""}}"#.len();
    write!(header, r#","__metadata__":{{"k":"{}"}}}}"#, "x".repeat(rest)).unwrap();
    file(&header, 16_384 * 4)
}

/// Headers whose lengths only a huge file makes plausible.
pub fn huge() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("header of 1 TiB", [&(1u64 << 40).to_le_bytes()[..], b"{"].concat()),
        ("header of 100 MB", [&100_000_000u64.to_le_bytes()[..], b"{"].concat()),
        ("greatest header, of zeros", [&(8u64 << 20).to_le_bytes()[..], b"{"].concat()),
        ("tensor smaller than the file", one("a", &f32s("[1]", 0, 4), 4)),
    ]
}

/// Files that must be refused, each for one reason.
pub fn cases() -> Vec<(&'static str, Vec<u8>)> {
    let good = f32s("[1]", 0, 4);
    let object = |fields: &str, data| one("a", &format!("{{{fields}}}"), data);
    let text = |len: usize| "x".repeat(len);
    // Written out for a message, a control character takes more room than in the text.
    let control = |len: usize| r"\u0001".repeat(len);
    let many_tensors = (0..16_385).map(|index| format!(r#""{index}":{}"#, f32s("[1]", index * 4, index * 4 + 4)));
    let many_tensors = format!("{{{}}}", many_tensors.collect::<Vec<_>>().join(","));
    let many_texts = (0..20_000).map(|index| format!(r#""{index}":"""#)).collect::<Vec<_>>().join(",");
    let million_dims = format!("[{}1]", "1,".repeat(2_000_000));
    vec![
        ("empty", vec![]),
        ("seven bytes", vec![0; 7]),
        ("header of no bytes", vec![0; 8]),
        ("header of no bytes, then data", vec![0; 64]),
        ("header length of all ones", [&[0xff; 8][..], b"{}"].concat()),
        ("header length that wraps with its own 8 bytes", [&(u64::MAX - 7).to_le_bytes()[..], b"{}"].concat()),
        ("header one byte past the end", [&3u64.to_le_bytes()[..], b"{}"].concat()),
        ("header of 8 MiB and a byte", file(&format!("{{{}}}", " ".repeat(8 << 20)), 0)),
        ("leading space", file(&format!(r#" {{"a":{good}}}"#), 4)),
        ("byte order mark", file(&format!("\u{feff}{{\"a\":{good}}}"), 4)),
        ("list as header", file("[]", 0)),
        ("open brace", file("{", 0)),
        ("second value behind the header", file(r"{}{}", 0)),
        ("not UTF-8", [&9u64.to_le_bytes()[..], b"{\"\xff\xfe\":{}}"].concat()),
        ("depth", file(&format!(r#"{{"a":{}"#, "[".repeat(1 << 20)), 0)),
        ("tensor as list", one("a", r#"["F32",[1],[0,4]]"#, 4)),
        ("tensor as number", one("a", "1", 0)),
        ("tensor as null", one("a", "null", 0)),
        ("no dtype", object(r#""shape":[1],"data_offsets":[0,4]"#, 4)),
        ("no shape", object(r#""dtype":"F32","data_offsets":[0,4]"#, 4)),
        ("no offsets", object(r#""dtype":"F32","shape":[1]"#, 4)),
        ("dtype twice", object(r#""dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]"#, 4)),
        ("field of unknown name", object(r#""dtype":"F32","shape":[1],"data_offsets":[0,4],"x":1"#, 4)),
        ("three offsets", object(r#""dtype":"F32","shape":[1],"data_offsets":[0,4,4]"#, 4)),
        ("one offset", object(r#""dtype":"F32","shape":[1],"data_offsets":[0]"#, 4)),
        ("unknown dtype", object(r#""dtype":"F33","shape":[1],"data_offsets":[0,4]"#, 4)),
        ("dtype in lower case", object(r#""dtype":"f32","shape":[1],"data_offsets":[0,4]"#, 4)),
        ("dtype that is not read", object(r#""dtype":"F8_E8M0","shape":[4],"data_offsets":[0,4]"#, 4)),
        ("block-quantised dtype", object(r#""dtype":"Q8_0","shape":[32],"data_offsets":[0,34]"#, 34)),
        ("dtype of a mebibyte", object(&format!(r#""dtype":"{}","shape":[1],"data_offsets":[0,4]"#, text(1 << 20)), 4)),
        ("text of nearly 8 MiB as tensor", one("a", &format!("\"{}\"", control(8 << 17)), 0)),
        ("text of nearly 8 MiB as shape", one("a", &f32s(&format!("\"{}\"", control(8 << 17)), 0, 4), 4)),
        ("text of nearly 8 MiB as dimension", one("a", &f32s(&format!("[\"{}\"]", text(8 << 19)), 0, 4), 4)),
        ("text of nearly 8 MiB as metadata", file(&format!("{{\"__metadata__\":\"{}\"}}", control(8 << 17)), 0)),
        ("field name of nearly 8 MiB", object(&format!("\"{}\":1", control(8 << 17)), 4)),
        ("number of a mebibyte", one("a", &f32s(&format!("[{}]", "9".repeat(1 << 20)), 0, 4), 4)),
        ("negative dimension", one("a", &f32s("[-1]", 0, 4), 4)),
        ("broken dimension", one("a", &f32s("[1.0]", 0, 4), 4)),
        ("zero dimension", one("a", &f32s("[0]", 0, 0), 0)),
        ("zero beside huge dimensions", one("a", &f32s("[4294967296,4294967296,0]", 0, 0), 0)),
        ("product that wraps to 0", one("a", &f32s("[4294967296,4294967296]", 0, 0), 0)),
        ("product that wraps to 1", one("a", &f32s("[9223372036854775809,2]", 0, 8), 8)),
        ("bytes that wrap to 0", one("a", &f32s("[4611686018427387904]", 0, 0), 0)),
        ("dimension past 64 bits", one("a", &f32s("[18446744073709551616]", 0, 4), 4)),
        ("nine dimensions", one("a", &f32s("[1,1,1,1,1,1,1,1,1]", 0, 4), 4)),
        ("two million dimensions", one("a", &f32s(&million_dims, 0, 4), 4)),
        ("offsets in the wrong order", one("a", &f32s("[1]", 4, 0), 4)),
        ("offsets of the greatest values", one("a", &f32s("[1]", u64::MAX - 4, u64::MAX), 4)),
        ("offsets too wide", one("a", &f32s("[1]", 0, 8), 8)),
        ("offsets too narrow", one("a", &f32s("[2]", 0, 4), 4)),
        ("data cut off", one("a", &good, 3)),
        ("data left over", one("a", &good, 5)),
        ("data without a tensor", file("{}", 1)),
        ("gap before the first", one("a", &f32s("[1]", 4, 8), 8)),
        ("gap between", file(&format!(r#"{{"a":{good},"b":{}}}"#, f32s("[1]", 8, 12)), 12)),
        ("overlap", file(&format!(r#"{{"a":{},"b":{}}}"#, f32s("[2]", 0, 8), f32s("[1]", 4, 8)), 8)),
        ("same bytes twice", file(&format!(r#"{{"a":{good},"b":{good}}}"#), 4)),
        ("name twice", file(&format!(r#"{{"a":{good},"a":{}}}"#, f32s("[1]", 4, 8)), 8)),
        ("name twice, once escaped", file(&format!(r#"{{"a":{good},"\u0061":{good}}}"#), 4)),
        ("name twice, same bytes", file(&format!(r#"{{"a":{good},"a":{good}}}"#), 4)),
        ("empty name", one("", &good, 4)),
        ("name that climbs", one("../../etc/passwd", &good, 4)),
        ("name that climbs midway", one("a/../b", &good, 4)),
        ("name with a zero byte", one(r"a\u0000b", &good, 4)),
        ("name with a line break", one(r"a\nb", &good, 4)),
        ("name that turns text around", one("a\u{202e}b", &good, 4)),
        ("name of 257 bytes", one(&text(257), &good, 4)),
        ("name of nearly 8 MiB", one(&text((8 << 20) - 100), &good, 4)),
        ("name of nearly 8 MiB, escaped at the end", one(&(text((8 << 20) - 100) + r"\n"), &good, 4)),
        ("16,385 tensors", file(&many_tensors, 16_385 * 4)),
        ("metadata twice", file(r#"{"__metadata__":{},"__metadata__":{}}"#, 0)),
        ("metadata key twice", file(r#"{"__metadata__":{"k":"1","k":"2"}}"#, 0)),
        ("metadata of numbers", file(r#"{"__metadata__":{"k":1}}"#, 0)),
        ("metadata within metadata", file(r#"{"__metadata__":{"k":{"k":"v"}}}"#, 0)),
        ("metadata as list", file(r#"{"__metadata__":[]}"#, 0)),
        ("metadata as tensor", file(&format!(r#"{{"__metadata__":{good}}}"#), 4)),
        ("metadata of 20,000 entries", file(&format!(r#"{{"__metadata__":{{{many_texts}}}}}"#), 0)),
    ]
}
