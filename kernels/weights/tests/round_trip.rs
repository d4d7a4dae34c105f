//! What is written is what is read, by this crate and by the format's own library.

#![expect(clippy::unwrap_used, reason = "a failure in a test is reported by its panic")]

use std::{
    collections::{BTreeMap, HashMap},
    io,
};

use safetensors::{SafeTensors, tensor::TensorView as LibraryView};
use weights::{
    Dtype, GgufError, GgufFile, GgufValue, GgufWriteError, GgufWriter, NewTensor, Quantisation, RawTensor,
    SafetensorsFile, SafetensorsWriteError, SafetensorsWriter, ShardError, ShardedSafetensors, TensorSource as _,
    TensorView, WeightsError, dequantise, open_path, quantise, relative_error, write_safetensors,
};

fn metadata() -> BTreeMap<String, String> {
    BTreeMap::from([("format".to_owned(), "pt".to_owned()), ("title".to_owned(), "a \"quoted\"\nü".to_owned())])
}

/// A file of one half-precision tensor called `name`.
fn shard(name: &str) -> Vec<u8> {
    let mut file = Vec::new();
    let tensor = TensorView { name, dtype: Dtype::F16, shape: &[1], bytes: &[0, 0x3c] };
    write_safetensors(&mut file, [tensor], &metadata()).unwrap();
    file
}

#[test]
fn written_safetensors_are_read_by_both_readers() {
    let bytes: Vec<u8> = (0..32).collect();
    let tensors = [
        TensorView { name: "odd", dtype: Dtype::U8, shape: &[3], bytes: &bytes[..3] },
        TensorView { name: "b.weight", dtype: Dtype::F32, shape: &[2, 2], bytes: &bytes[..16] },
        TensorView { name: "a.weight", dtype: Dtype::BF16, shape: &[1, 2, 1], bytes: &bytes[4..8] },
        TensorView { name: "alpha", dtype: Dtype::F64, shape: &[], bytes: &bytes[..8] },
        TensorView { name: "mask", dtype: Dtype::Bool, shape: &[2], bytes: &[0, 1] },
    ];
    let mut file = Vec::new();
    write_safetensors(&mut file, tensors, &metadata()).unwrap();

    let ours = SafetensorsFile::open(file.as_slice()).unwrap();
    let library = SafeTensors::deserialize(&file).unwrap();
    assert_eq!(ours.all_metadata(), &metadata());
    assert_eq!(ours.metadata("format"), Some("pt"));
    assert_eq!(library.len(), tensors.len());
    let names: Vec<_> = ours.tensors().iter().map(|tensor| tensor.name.as_str()).collect();
    assert_eq!(names, ["a.weight", "alpha", "b.weight", "mask", "odd"]);
    for TensorView { name, dtype, shape, bytes } in tensors {
        let expected = RawTensor { dtype, shape: shape.to_vec(), bytes: bytes.to_vec() };
        assert_eq!(ours.read(name).unwrap(), expected);
        let view = library.tensor(name).unwrap();
        assert_eq!((view.shape(), view.data(), view.dtype().to_string()), (shape, bytes, dtype.to_string()));
        let offset = ours.info(name).unwrap().offset;
        assert!(offset.is_multiple_of(dtype.block_bytes() as u64), "{name} is not aligned");
    }
}

#[test]
fn safetensors_of_the_library_are_read() {
    let (one, two) = ([1, 2, 3, 4, 5, 6, 7, 8], [9, 10]);
    let views = [
        ("x", LibraryView::new(safetensors::Dtype::F32, vec![2, 1], &one).unwrap()),
        ("y", LibraryView::new(safetensors::Dtype::I8, vec![2], &two).unwrap()),
    ];
    let metadata = HashMap::from([("key".to_owned(), "value".to_owned())]);
    let file = SafetensorsFile::open(safetensors::serialize(views, Some(metadata)).unwrap()).unwrap();
    assert_eq!(file.metadata("key"), Some("value"));
    assert_eq!(file.read("x").unwrap(), RawTensor { dtype: Dtype::F32, shape: vec![2, 1], bytes: one.to_vec() });
    assert_eq!(file.read("y").unwrap().to_f32(), [9.0, 10.0]);
    assert!(matches!(file.read("z"), Err(WeightsError::UnknownTensor { name }) if name == "z"));
}

#[test]
fn safetensors_that_would_be_refused_are_not_written() {
    let good = TensorView { name: "t", dtype: Dtype::F16, shape: &[1], bytes: &[0, 0] };
    let bad = [
        TensorView { name: "", ..good },
        TensorView { name: "__metadata__", ..good },
        TensorView { name: "a/../b", ..good },
        TensorView { shape: &[0], bytes: &[], ..good },
        TensorView { shape: &[1; 9], ..good },
        TensorView { shape: &[usize::MAX, 2], ..good },
        TensorView { dtype: Dtype::Q4_0, shape: &[32], bytes: &[0; 18], ..good },
        TensorView { bytes: &[0], ..good },
    ];
    for tensor in bad {
        let mut out = Vec::new();
        assert!(write_safetensors(&mut out, [tensor], &metadata()).is_err(), "{tensor:?}");
        assert!(out.is_empty(), "{tensor:?}");
    }
    let twins = write_safetensors(io::sink(), [good, good], &metadata());
    assert!(matches!(twins, Err(SafetensorsWriteError::Tensor { .. })));
    let long = BTreeMap::from([("k".to_owned(), "x".repeat(8 << 20))]);
    assert!(matches!(write_safetensors(io::sink(), [good], &long), Err(SafetensorsWriteError::HeaderLength { .. })));
    let mut full = [0u8; 4];
    let written = write_safetensors(full.as_mut_slice(), [good], &metadata());
    assert!(matches!(written, Err(SafetensorsWriteError::Write { .. })));
}

fn tensor(name: &str, dtype: Dtype, shape: &[usize]) -> NewTensor {
    NewTensor { name: name.to_owned(), dtype, shape: shape.to_vec() }
}

#[test]
fn written_gguf_is_read() {
    let metadata = [
        ("general.architecture".to_owned(), GgufValue::String("sd1".to_owned())),
        ("u32".to_owned(), GgufValue::U32(u32::MAX)),
        ("i32".to_owned(), GgufValue::I32(i32::MIN)),
        ("u64".to_owned(), GgufValue::U64(u64::MAX)),
        ("i64".to_owned(), GgufValue::I64(i64::MIN)),
        ("f32".to_owned(), GgufValue::F32(0.18215)),
        ("f64".to_owned(), GgufValue::F64(0.1)),
        ("bool".to_owned(), GgufValue::Bool(true)),
        ("i32s".to_owned(), GgufValue::I32Array(vec![-1, 2])),
        ("strings".to_owned(), GgufValue::StringArray(vec![String::new(), "ü".to_owned()])),
    ];
    let weights: Vec<f32> = (0..2 * 32 * 9).map(|index| ((index * 37 % 101) as f32 - 50.0) / 50.0).collect();
    let list = [
        (tensor("conv.weight", Dtype::Q8_0, &[2, 32, 3, 3]), &weights[..]),
        (tensor("conv.bias", Dtype::F32, &[3]), &weights[..3]),
        (tensor("linear.weight", Dtype::Q4_0, &[2, 64]), &weights[..128]),
        (tensor("conv_in.weight", Dtype::F16, &[2, 1, 3, 3]), &weights[..18]),
        (tensor("odd.weight", Dtype::BF16, &[7, 1]), &weights[..7]),
        (tensor("scale", Dtype::F32, &[]), &weights[..1]),
    ];
    let tensors: Vec<_> = list.iter().map(|(tensor, _)| tensor.clone()).collect();
    let mut writer = GgufWriter::new(Vec::new(), &metadata, &tensors).unwrap();
    for (tensor, values) in &list {
        writer.push(&quantise(values, tensor.dtype).unwrap()).unwrap();
    }
    let bytes = writer.finish().unwrap();
    assert!(bytes.len().is_multiple_of(32));

    let file = GgufFile::open(bytes).unwrap();
    for (key, value) in &metadata {
        assert_eq!(file.value(key), Some(value), "{key}");
    }
    assert_eq!(file.metadata("general.architecture"), Some("sd1"));
    assert_eq!(file.metadata("u32"), None);
    let original = GgufValue::I32Array(vec![2, 32, 3, 3]);
    assert_eq!(file.value("comfy.gguf.orig_shape.conv.weight"), Some(&original));
    assert_eq!(file.all_metadata().len(), metadata.len() + 1);
    assert!(file.unsupported().is_empty());
    assert_eq!(file.tensors().len(), list.len());
    for (NewTensor { name, dtype, shape }, values) in &list {
        let read = file.read(name).unwrap();
        assert_eq!((&read.dtype, &read.shape), (dtype, shape), "{name}");
        assert_eq!(read.bytes, quantise(values, *dtype).unwrap(), "{name}");
        assert!(file.info(name).unwrap().offset.is_multiple_of(32));
        let bound = match dtype {
            Dtype::Q4_0 => 0.1,
            Dtype::Q8_0 | Dtype::BF16 => 0.01,
            Dtype::F16 => 0.001,
            _ => 0.0,
        };
        let error = relative_error(values, &read.to_f32());
        assert!(error <= bound, "{name}: {error}");
    }
}

#[test]
fn gguf_lays_dimensions_fastest_first() {
    let mut writer = GgufWriter::new(Vec::new(), &[], &[tensor("t", Dtype::F32, &[2, 3])]).unwrap();
    writer.push(&[0; 24]).unwrap();
    let file = writer.finish().unwrap();
    let mut expected = b"GGUF\x03\0\0\0".to_vec();
    for number in [1u64, 0, 1] {
        expected.extend(number.to_le_bytes());
    }
    expected.extend(b"t\x02\0\0\0");
    expected.extend([3u64, 2].into_iter().flat_map(u64::to_le_bytes));
    expected.extend([0; 4 + 8]);
    assert_eq!(file[..expected.len()], expected);
    assert_eq!(GgufFile::open(file).unwrap().info("t").unwrap().shape, [2, 3]);
}

#[test]
fn gguf_of_version_2_is_read_and_kinds_that_are_not_read_are_named() {
    let tensors = [tensor("good", Dtype::F32, &[8]), tensor("k", Dtype::F32, &[8])];
    let mut writer = GgufWriter::new(Vec::new(), &[], &tensors).unwrap();
    writer.push(&[0; 32]).unwrap();
    writer.push(&[0; 32]).unwrap();
    let mut bytes = writer.finish().unwrap();
    bytes[4] = 2;
    // The second entry's type: behind the fixed start, the first entry, and a name and one dimension.
    let kind = 24 + (8 + 4 + 4 + 8 + 4 + 8) + (8 + 1 + 4 + 8);
    bytes[kind] = 10;
    let file = GgufFile::open(bytes).unwrap();
    assert_eq!(file.tensors().len(), 1);
    assert_eq!((file.unsupported()[0].name.as_str(), file.unsupported()[0].kind.as_str()), ("k", "Q2_K"));
    assert!(file.read("good").is_ok());
    let error = file.read("k").unwrap_err();
    assert!(
        matches!(&error, WeightsError::Gguf(GgufError::UnsupportedType { name, kind }) if name == "k" && kind == "Q2_K")
    );
}

#[test]
fn gguf_that_would_be_refused_is_not_written() {
    let bad = [
        tensor("", Dtype::F32, &[1]),
        tensor("../t", Dtype::F32, &[1]),
        tensor("t", Dtype::U8, &[1]),
        tensor("t", Dtype::F32, &[0]),
        tensor("t", Dtype::F32, &[1; 5]),
        tensor("t", Dtype::F32, &[1 << 31]),
        tensor("t", Dtype::Q8_0, &[32, 31]),
        tensor("t", Dtype::Q8_0, &[32, 31, 1, 1]),
        tensor("t", Dtype::F32, &[1 << 30, 1 << 30, 1 << 30, 1 << 30]),
    ];
    for tensor in bad {
        let mut out = Vec::new();
        let tensors = [tensor];
        assert!(GgufWriter::new(&mut out, &[], &tensors).is_err(), "{tensors:?}");
        assert!(out.is_empty(), "{tensors:?}");
    }
    let entry = |key: &str, value| [(key.to_owned(), value)];
    let refused = [
        entry("", GgufValue::U32(1)),
        entry("general.alignment", GgufValue::U32(64)),
        entry("k", GgufValue::Skipped { elements: 1 }),
        entry("comfy.gguf.orig_shape.conv", GgufValue::U32(1)),
    ];
    for metadata in refused {
        let conv = [tensor("conv", Dtype::Q8_0, &[1, 32, 1, 1])];
        assert!(GgufWriter::new(io::sink(), &metadata, &conv).is_err(), "{metadata:?}");
    }
    let twins = [tensor("t", Dtype::F32, &[1]), tensor("t", Dtype::F32, &[1])];
    assert!(matches!(GgufWriter::new(io::sink(), &[], &twins), Err(GgufWriteError::Tensor { .. })));
}

#[test]
fn gguf_tensors_are_pushed_whole_and_all() {
    let tensors = [tensor("t", Dtype::F32, &[2])];
    let mut writer = GgufWriter::new(io::sink(), &[], &tensors).unwrap();
    assert!(matches!(writer.push(&[0; 7]), Err(GgufWriteError::Length { found: 7, expected: 8, .. })));
    writer.push(&[0; 8]).unwrap();
    assert!(matches!(writer.push(&[0; 8]), Err(GgufWriteError::TooMany { .. })));
    let writer = GgufWriter::new(io::sink(), &[], &tensors).unwrap();
    assert!(matches!(writer.finish(), Err(GgufWriteError::Unfinished { name }) if name == "t"));
}

#[test]
fn pieces_of_tensors_make_the_same_files_as_whole_ones() {
    let tensors = [tensor("b", Dtype::F32, &[3]), tensor("a", Dtype::F16, &[5])];
    let bytes: Vec<u8> = (0..12).collect();
    let mut whole = GgufWriter::new(Vec::new(), &[], &tensors).unwrap();
    whole.push(&bytes).unwrap();
    whole.push(&bytes[..10]).unwrap();
    let mut pieces = GgufWriter::new(Vec::new(), &[], &tensors).unwrap();
    for piece in [&bytes[..5], &bytes[5..12], &bytes[..1], &bytes[1..10]] {
        pieces.push_part(piece).unwrap();
    }
    assert_eq!(pieces.finish().unwrap(), whole.finish().unwrap());
    let mut pieces = GgufWriter::new(Vec::new(), &[], &tensors).unwrap();
    pieces.push_part(&bytes[..5]).unwrap();
    assert!(matches!(pieces.push_part(&bytes[..8]), Err(GgufWriteError::Length { found: 13, expected: 12, .. })));
    assert!(matches!(pieces.finish(), Err(GgufWriteError::Unfinished { name }) if name == "b"));

    let none = BTreeMap::new();
    let views = tensors.iter().map(|NewTensor { name, dtype, shape }| {
        let bytes = if name == "a" { &bytes[..10] } else { &bytes[..] };
        TensorView { name, dtype: *dtype, shape, bytes }
    });
    let mut whole = Vec::new();
    write_safetensors(&mut whole, views, &none).unwrap();
    let mut pieces = SafetensorsWriter::new(Vec::new(), &tensors, &none).unwrap();
    assert_eq!(pieces.order(), [0, 1]);
    for piece in [&bytes[..7], &bytes[7..12], &bytes[..10]] {
        pieces.push_part(piece).unwrap();
    }
    assert!(matches!(pieces.push_part(&[0]), Err(SafetensorsWriteError::TooMany { found: 1, tensors: 2 })));
    assert_eq!(pieces.finish().unwrap(), whole);
    let mut pieces = SafetensorsWriter::new(Vec::new(), &tensors, &none).unwrap();
    assert!(matches!(pieces.push_part(&[0; 13]), Err(SafetensorsWriteError::Length { found: 13, .. })));
    assert!(matches!(pieces.finish(), Err(SafetensorsWriteError::Unfinished { name }) if name == "b"));
}

#[test]
fn a_model_is_quantised_from_one_container_into_the_other() {
    let values: Vec<f32> = (0..64 * 9).map(|index| (index as f32).sin()).collect();
    let bytes = quantise(&values, Dtype::F32).unwrap();
    let mut file = Vec::new();
    let view = TensorView { name: "conv.weight", dtype: Dtype::F32, shape: &[2, 32, 3, 3], bytes: &bytes };
    write_safetensors(&mut file, [view], &BTreeMap::new()).unwrap();
    let source = SafetensorsFile::open(file).unwrap();

    let quantisation = Quantisation::new(Dtype::Q4_0);
    let tensors: Vec<_> = source
        .tensors()
        .iter()
        .map(|info| tensor(&info.name, quantisation.stored_dtype(&info.name, &info.shape), &info.shape))
        .collect();
    let mut writer = GgufWriter::new(Vec::new(), &[], &tensors).unwrap();
    for tensor in &tensors {
        let stored = quantise(&source.read(&tensor.name).unwrap().to_f32(), tensor.dtype).unwrap();
        writer.push(&stored).unwrap();
    }
    let read = GgufFile::open(writer.finish().unwrap()).unwrap().read("conv.weight").unwrap();
    assert_eq!((read.dtype, read.shape), (Dtype::Q4_0, vec![2, 32, 3, 3]));
    assert!(relative_error(&values, &dequantise(read.dtype, &read.bytes)) < 0.1);
}

#[test]
fn shards_are_read_as_one_file() {
    let index = br#"{"metadata":{"total_size":4},"weight_map":{"b":"2.safetensors","a":"1.safetensors"}}"#.to_vec();
    let open_shard = |file: &str| match file {
        "1.safetensors" => Ok(shard("a")),
        "2.safetensors" => Ok(shard("b")),
        _ => Err(io::ErrorKind::NotFound.into()),
    };
    let model = ShardedSafetensors::open(&index, open_shard).unwrap();
    let names: Vec<_> = model.tensors().iter().map(|tensor| tensor.name.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
    assert_eq!(model.read("b").unwrap().to_f32(), [1.0]);
    assert_eq!(model.metadata("format"), Some("pt"));
    assert!(matches!(model.read("c"), Err(WeightsError::UnknownTensor { .. })));

    let refused = |index: &str| ShardedSafetensors::open(index.as_bytes(), open_shard).map(drop).unwrap_err();
    assert!(matches!(refused("{}"), ShardError::Index { .. }));
    assert!(matches!(refused(r#"{"weight_map":{"a":"../1.safetensors"}}"#), ShardError::FileName { .. }));
    assert!(matches!(refused(r#"{"weight_map":{"a":"1.bin"}}"#), ShardError::FileName { .. }));
    assert!(matches!(refused(r#"{"weight_map":{"a":"3.safetensors"}}"#), ShardError::Open { .. }));
    assert!(matches!(refused(r#"{"weight_map":{"c":"1.safetensors"}}"#), ShardError::MissingTensor { .. }));
    let twice = r#"{"weight_map":{"a":"1.safetensors","a":"2.safetensors"}}"#;
    assert!(matches!(refused(twice), ShardError::Index { .. }));
    let many: Vec<_> = (0..257).map(|index| format!(r#""{index}":"{index}.safetensors""#)).collect();
    assert!(matches!(
        refused(&format!(r#"{{"weight_map":{{{}}}}}"#, many.join(","))),
        ShardError::TooManyShards { .. }
    ));
    assert!(matches!(refused(&" ".repeat((8 << 20) + 1)), ShardError::IndexLength { .. }));
    let damaged = ShardedSafetensors::open(&index, |_| Ok(vec![0u8; 4])).map(drop);
    assert!(matches!(damaged, Err(ShardError::Shard { .. })));
}

#[test]
fn paths_are_opened_by_what_lies_there() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    let put = |name: &str, bytes: &[u8]| {
        let path = folder.join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let single = put("1.safetensors", &shard("a"));
    let index = put("model.safetensors.index.json", br#"{"weight_map":{"a":"1.safetensors"}}"#);
    let pickle = put("model.ckpt", b"PK\x03\x04");
    for path in [&single, &index] {
        assert_eq!(open_path(path).unwrap().read("a").unwrap().to_f32(), [1.0]);
    }
    assert!(matches!(open_path(&pickle), Err(WeightsError::Pickle)));
    assert!(matches!(open_path(folder), Err(WeightsError::Open { .. })));
    assert!(matches!(open_path(&folder.join("none")), Err(WeightsError::Open { .. })));
}
