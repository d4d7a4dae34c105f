//! Bytes at random and valid files with damage: whatever the readers answer, they do answer.

#![expect(clippy::unwrap_used, reason = "a failure in a test is reported by its panic")]

use std::collections::BTreeMap;

use proptest::prelude::*;
use weights::{
    Dtype, GgufFile, GgufValue, GgufWriter, Manifest, NewTensor, SafetensorsFile, ShardedSafetensors, TensorSource,
    TensorView, open, write_safetensors,
};

/// Read all that a source lists, and check what it promises about every tensor.
fn exhaust(source: &dyn TensorSource) {
    for info in source.tensors() {
        let tensor = source.read(&info.name).expect("listed tensors lie in the file");
        assert_eq!(tensor.bytes.len() as u64, info.bytes);
        assert_eq!(tensor.to_f32().len() as u64, info.elements());
        assert_eq!(source.info(&info.name), Some(info));
    }
}

fn try_all(file: &[u8]) {
    if let Ok(source) = SafetensorsFile::open(file) {
        exhaust(&source);
    }
    if let Ok(source) = GgufFile::open(file) {
        exhaust(&source);
        for tensor in source.unsupported() {
            assert!(source.read(&tensor.name).is_err());
        }
    }
    if let Ok(source) = open(Box::new(file.to_vec())) {
        exhaust(source.as_ref());
    }
}

fn safetensors() -> Vec<u8> {
    let metadata = BTreeMap::from([("format".to_owned(), "pt".to_owned())]);
    let bytes = [1; 64];
    let tensors = [
        TensorView { name: "a.weight", dtype: Dtype::F32, shape: &[4, 4], bytes: &bytes },
        TensorView { name: "a.bias", dtype: Dtype::F16, shape: &[4], bytes: &bytes[..8] },
        TensorView { name: "alpha", dtype: Dtype::I64, shape: &[], bytes: &bytes[..8] },
    ];
    let mut file = Vec::new();
    write_safetensors(&mut file, tensors, &metadata).unwrap();
    file
}

fn gguf() -> Vec<u8> {
    let metadata = [
        ("general.name".to_owned(), GgufValue::String("model".to_owned())),
        ("count".to_owned(), GgufValue::U32(7)),
        ("flag".to_owned(), GgufValue::Bool(true)),
        ("list".to_owned(), GgufValue::StringArray(vec!["a".to_owned(), "b".to_owned()])),
    ];
    let tensor = |name: &str, dtype, shape: &[usize]| NewTensor { name: name.to_owned(), dtype, shape: shape.to_vec() };
    let tensors = [tensor("conv", Dtype::Q8_0, &[2, 32, 1, 1]), tensor("bias", Dtype::F32, &[2])];
    let mut writer = GgufWriter::new(Vec::new(), &metadata, &tensors).unwrap();
    writer.push(&[1; 68]).unwrap();
    writer.push(&[0; 8]).unwrap();
    writer.finish().unwrap()
}

/// A change to a byte, or to all from a place on.
#[derive(Debug, Clone)]
enum Damage {
    Set(usize, u8),
    Flip(usize, u8),
    Insert(usize, Vec<u8>),
    Remove(usize, usize),
    Number(usize, u64),
}

fn damage() -> impl Strategy<Value = Damage> {
    let place = any::<prop::sample::Index>().prop_map(|index| index.index(1 << 12));
    let edges = prop_oneof![Just(0), Just(1), Just(u64::MAX), Just(1 << 63), Just(1 << 32), 0..4096u64, any::<u64>()];
    prop_oneof![
        (place.clone(), any::<u8>()).prop_map(|(at, byte)| Damage::Set(at, byte)),
        (place.clone(), 0..8u8).prop_map(|(at, bit)| Damage::Flip(at, bit)),
        (place.clone(), prop::collection::vec(any::<u8>(), 0..16)).prop_map(|(at, bytes)| Damage::Insert(at, bytes)),
        (place.clone(), 0..32usize).prop_map(|(at, count)| Damage::Remove(at, count)),
        (place, edges).prop_map(|(at, number)| Damage::Number(at, number)),
    ]
}

fn damaged(mut file: Vec<u8>, list: Vec<Damage>) -> Vec<u8> {
    for damage in list {
        let len = file.len().max(1);
        match damage {
            Damage::Set(at, byte) => file.iter_mut().skip(at % len).take(1).for_each(|target| *target = byte),
            Damage::Flip(at, bit) => file.iter_mut().skip(at % len).take(1).for_each(|target| *target ^= 1 << bit),
            Damage::Insert(at, bytes) => {
                drop(file.splice((at % len).min(file.len())..(at % len).min(file.len()), bytes));
            }
            Damage::Remove(at, count) => {
                let start = (at % len).min(file.len());
                file.drain(start..(start + count).min(file.len()));
            }
            Damage::Number(at, number) => {
                let target = file.iter_mut().skip(at % len).take(8);
                target.zip(number.to_le_bytes()).for_each(|(target, byte)| *target = byte);
            }
        }
    }
    file
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_never_panic(file in prop::collection::vec(any::<u8>(), 0..512)) {
        try_all(&file);
        let _ = Manifest::parse(&file);
        let _ = ShardedSafetensors::open(&file, |_| Ok(file.clone()));
    }

    #[test]
    fn arbitrary_headers_never_panic(
        header in "\\{[\\PC]{0,200}\\}",
        rest in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        let mut file = (header.len() as u64).to_le_bytes().to_vec();
        file.extend(header.as_bytes());
        file.extend(&rest);
        try_all(&file);
        let mut file = b"GGUF\x03\0\0\0".to_vec();
        file.extend(rest);
        try_all(&file);
    }

    #[test]
    fn damaged_safetensors_never_panic(list in prop::collection::vec(damage(), 1..4)) {
        try_all(&damaged(safetensors(), list));
    }

    #[test]
    fn damaged_gguf_never_panics(list in prop::collection::vec(damage(), 1..4)) {
        try_all(&damaged(gguf(), list));
    }
}

#[test]
fn undamaged_files_are_read() {
    assert_eq!(SafetensorsFile::open(safetensors()).unwrap().tensors().len(), 3);
    assert_eq!(GgufFile::open(gguf()).unwrap().tensors().len(), 2);
    try_all(&safetensors());
    try_all(&gguf());
}
