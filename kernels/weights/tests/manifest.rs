//! A manifest lets through the file it was made of, and nothing else.

#![expect(clippy::unwrap_used, reason = "a failure in a test is reported by its panic")]

use proptest::prelude::*;
use weights::{DEFAULT_RANGE_SIZE, Manifest, ManifestError};

/// `SHA-256("abc")`, the first example of FIPS 180-4.
const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

fn manifest() -> Manifest {
    Manifest::of(b"abcabcab".as_slice(), "model.safetensors", 3).unwrap()
}

#[test]
fn hashes_are_those_of_the_standard() {
    let manifest = Manifest::of(b"abc".as_slice(), "abc.bin", DEFAULT_RANGE_SIZE).unwrap();
    assert_eq!((manifest.sha256.as_str(), manifest.ranges.as_slice()), (ABC, &[ABC.to_owned()][..]));
    assert_eq!(manifest.size, 3);
}

#[test]
fn ranges_cover_the_file() {
    let manifest = manifest();
    assert_eq!(manifest.ranges.len(), 3);
    assert_eq!((manifest.range(0), manifest.range(2), manifest.range(3)), (Some((0, 3)), Some((6, 2)), None));
    assert_eq!(manifest.ranges[..2], [ABC, ABC]);
    let empty = Manifest::of(b"".as_slice(), "empty", 3).unwrap();
    assert!(empty.ranges.is_empty() && empty.validate().is_ok());
}

#[test]
fn verify_range_catches_other_bytes() {
    let manifest = manifest();
    manifest.verify_range(0, b"abc").unwrap();
    manifest.verify_range(2, b"ab").unwrap();
    assert!(matches!(manifest.verify_range(0, b"abb"), Err(ManifestError::RangeHash { index: 0, .. })));
    assert!(matches!(manifest.verify_range(1, b"ab"), Err(ManifestError::RangeLength { found: 2, expected: 3, .. })));
    assert!(matches!(manifest.verify_range(2, b"abc"), Err(ManifestError::RangeLength { .. })));
    assert!(matches!(manifest.verify_range(3, b""), Err(ManifestError::NoSuchRange { ranges: 3, .. })));
}

#[test]
fn json_round_trip_fills_in_the_range_size() {
    let manifest = manifest();
    assert_eq!(Manifest::parse(&serde_json::to_vec(&manifest).unwrap()).unwrap(), manifest);
    let short = format!(r#"{{"file":"abc","size":3,"sha256":"{ABC}","ranges":["{ABC}"]}}"#);
    assert_eq!(Manifest::parse(short.as_bytes()).unwrap().range_size, DEFAULT_RANGE_SIZE);
    assert!(matches!(Manifest::parse(b"{}"), Err(ManifestError::Parse { .. })));
}

#[test]
fn manifests_that_do_not_add_up_are_refused() {
    let good = manifest();
    for file in ["", "../model", "a/b", "a\\b", ".hidden", "a..b", "a b"] {
        let manifest = Manifest { file: file.into(), ..good.clone() };
        assert!(matches!(manifest.validate(), Err(ManifestError::FileName { .. })), "{file}");
    }
    for range_size in [0, u64::MAX] {
        let manifest = Manifest { range_size, ..good.clone() };
        assert!(matches!(manifest.validate(), Err(ManifestError::RangeSize { .. })), "{range_size}");
        assert!(manifest.verify_range(1, b"abc").is_err());
    }
    for size in [0, 6, 10] {
        let manifest = Manifest { size, ..good.clone() };
        assert!(matches!(manifest.validate(), Err(ManifestError::RangeCount { .. })), "{size}");
    }
    let endless = Manifest { size: u64::MAX, ..good.clone() };
    assert!(matches!(endless.validate(), Err(ManifestError::TooManyRanges { .. })));
    for hash in [String::new(), ABC.to_uppercase(), ABC[1..].to_owned(), format!("{ABC}0"), ABC.replace('b', "g")] {
        let manifest = Manifest { sha256: hash.clone(), ..good.clone() };
        assert!(matches!(manifest.validate(), Err(ManifestError::Hash { .. })), "{hash}");
        let mut manifest = good.clone();
        manifest.ranges[1] = hash;
        assert!(matches!(manifest.validate(), Err(ManifestError::Hash { what, .. }) if what == "range 1"));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_flipped_bit_and_every_cut_is_caught(
        file in prop::collection::vec(any::<u8>(), 1..200),
        range_size in 1..70u64,
        place in any::<prop::sample::Index>(),
        bit in 0..8u8,
    ) {
        let manifest = Manifest::of(&file, "model.gguf", range_size).unwrap();
        manifest.validate().unwrap();
        let parts: Vec<_> = file.chunks(range_size as usize).collect();
        prop_assert_eq!(parts.len(), manifest.ranges.len());
        for (index, part) in parts.iter().enumerate() {
            prop_assert!(manifest.verify_range(index, part).is_ok());
            prop_assert!(manifest.verify_range(index, &part[1..]).is_err());
        }
        let index = place.index(parts.len());
        let mut damaged = parts[index].to_vec();
        let at = place.index(damaged.len());
        damaged[at] ^= 1 << bit;
        prop_assert!(manifest.verify_range(index, &damaged).is_err());
    }
}
