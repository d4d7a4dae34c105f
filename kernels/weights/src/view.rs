use std::{collections::BTreeSet, ops::Range, rc::Rc};

use crate::{
    Dtype, RawTensor, TensorInfo, TensorSource, WeightsError, dequantise, tensor::byte_range, tensor_name::shown,
};

/// Where a tensor of a [`View`] comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A tensor as it is; the view may give it another shape of as many elements.
    Whole(String),
    /// Some of a tensor's rows, the slices along its first dimension.
    Rows {
        /// The tensor.
        name: String,
        /// The first row.
        first: usize,
        /// How many.
        count: usize,
    },
    /// A matrix with its two dimensions changed places.
    Transposed(String),
    /// Tensors below each other, along their first dimension.
    Joined(Vec<String>),
}

/// One tensor of a [`View`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ViewEntry {
    /// The name that it has in the view.
    pub name: String,
    /// The shape that it has in the view.
    pub shape: Vec<usize>,
    /// Where it comes from.
    pub origin: Origin,
}

/// Tensors of another source under other names and shapes; nothing is read before it is asked for, and nothing is copied.
pub struct View {
    source: Rc<dyn TensorSource>,
    /// Sorted by name.
    tensors: Vec<TensorInfo>,
    /// For each of `tensors`.
    origins: Vec<Origin>,
}

impl View {
    /// A view that has `entries` and nothing else.
    ///
    /// # Errors
    ///
    /// [`WeightsError::UnknownTensor`] where the source lacks one, [`WeightsError::View`] where one does not fit its
    /// entry or two have the same name.
    pub fn new(source: Rc<dyn TensorSource>, mut entries: Vec<ViewEntry>) -> Result<Self, WeightsError> {
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        let mut seen = BTreeSet::new();
        if let Some(twin) = entries.iter().find(|entry| !seen.insert(entry.name.as_str())) {
            return Err(refused(&twin.name, "two tensors have this name"));
        }
        let tensors = entries.iter().map(|entry| info(&*source, entry)).collect::<Result<_, _>>()?;
        let origins = entries.into_iter().map(|entry| entry.origin).collect();
        Ok(Self { source, tensors, origins })
    }

    fn find(&self, name: &str) -> Result<(&TensorInfo, &Origin), WeightsError> {
        let unknown = || WeightsError::UnknownTensor { name: shown(name) };
        let index = self.tensors.binary_search_by(|tensor| tensor.name.as_str().cmp(name)).map_err(|_| unknown())?;
        Ok((&self.tensors[index], &self.origins[index]))
    }

    /// Elements of tensors below each other, in the kind that the view gives them.
    fn read_joined(&self, parts: &[String], dtype: Dtype, elements: &Range<u64>) -> Result<Vec<u8>, WeightsError> {
        let (mut bytes, mut first) = (Vec::new(), 0);
        for part in parts {
            let info = find(&*self.source, part)?;
            let end = first + info.elements();
            let (from, to) = (elements.start.clamp(first, end) - first, elements.end.clamp(first, end) - first);
            first = end;
            if from < to {
                bytes.extend(self.read_as(info, dtype, from..to)?);
            }
        }
        Ok(bytes)
    }

    /// Elements in single precision where the tensor is of another kind than `dtype`, whose blocks may begin and end elsewhere.
    fn read_as(&self, info: &TensorInfo, dtype: Dtype, elements: Range<u64>) -> Result<Vec<u8>, WeightsError> {
        if info.dtype == dtype {
            return self.source.read_range(&info.name, elements);
        }
        let block = info.dtype.block_len() as u64;
        let whole = elements.start / block * block..elements.end.next_multiple_of(block);
        let before = (elements.start - whole.start) as usize;
        let values = dequantise(info.dtype, &self.source.read_range(&info.name, whole)?);
        let count = (elements.end - elements.start) as usize;
        Ok(values.into_iter().skip(before).take(count).flat_map(f32::to_le_bytes).collect())
    }
}

fn refused(name: &str, reason: &'static str) -> WeightsError {
    WeightsError::View { name: shown(name), reason }
}

fn find<'a>(source: &'a dyn TensorSource, name: &str) -> Result<&'a TensorInfo, WeightsError> {
    source.info(name).ok_or_else(|| WeightsError::UnknownTensor { name: shown(name) })
}

/// Bytes of one row; rows of blocks that run from one into the next have none.
fn row_bytes(info: &TensorInfo) -> Option<u64> {
    info.dtype.byte_len(info.elements() / *info.shape.first()? as u64)
}

fn info(source: &dyn TensorSource, entry: &ViewEntry) -> Result<TensorInfo, WeightsError> {
    let ViewEntry { name, shape, origin } = entry;
    let elements: u64 = shape.iter().map(|&dim| dim as u64).product();
    let whole = |found: &TensorInfo, dtype: Dtype| {
        let bytes = dtype.byte_len(elements).filter(|_| found.elements() == elements);
        let bytes = bytes.ok_or_else(|| refused(name, "it has another number of elements"))?;
        Ok(TensorInfo { name: name.clone(), dtype, shape: shape.clone(), offset: found.offset, bytes })
    };
    match origin {
        Origin::Whole(from) => find(source, from).and_then(|found| whole(found, found.dtype)),
        Origin::Transposed(from) => {
            let found = find(source, from)?;
            let [rows, columns] = found.shape[..] else { return Err(refused(name, "only a matrix can be turned")) };
            if shape[..] != [columns, rows] {
                return Err(refused(name, "it is another matrix"));
            }
            whole(found, plain(found.dtype))
        }
        Origin::Rows { name: from, first, count } => {
            let found = find(source, from)?;
            let rows = found.shape.first().copied().unwrap_or(0);
            let inside = first.checked_add(*count).is_some_and(|end| end <= rows) && *count > 0;
            if !inside || shape.first() != Some(count) || shape[1..] != found.shape[1..] {
                return Err(refused(name, "it has no such rows"));
            }
            let row = row_bytes(found).ok_or_else(|| refused(name, "its rows end within a block"))?;
            let (offset, bytes) = (found.offset + row * *first as u64, row * *count as u64);
            Ok(TensorInfo { name: name.clone(), dtype: found.dtype, shape: shape.clone(), offset, bytes })
        }
        Origin::Joined(parts) => {
            let parts = parts.iter().map(|part| find(source, part)).collect::<Result<Vec<_>, _>>()?;
            let Some(first) = parts.first() else { return Err(refused(name, "it has no parts")) };
            let fits = parts.iter().all(|part| part.shape.get(1..) == shape.get(1..) && !part.shape.is_empty());
            let rows: usize = parts.iter().filter_map(|part| part.shape.first()).sum();
            if !fits || shape.first() != Some(&rows) {
                return Err(refused(name, "its parts have other shapes"));
            }
            let dtype = joined(parts.iter().map(|part| part.dtype));
            let bytes = dtype.byte_len(elements).ok_or_else(|| refused(name, "it does not fill its blocks"))?;
            Ok(TensorInfo { name: name.clone(), dtype, shape: shape.clone(), offset: first.offset, bytes })
        }
    }
}

/// The kind of a tensor whose elements change places: blocks have to be unpacked for it.
const fn plain(dtype: Dtype) -> Dtype {
    if dtype.is_block_quantised() { Dtype::F32 } else { dtype }
}

fn joined(mut kinds: impl Iterator<Item = Dtype>) -> Dtype {
    let first = kinds.next().unwrap_or(Dtype::F32);
    if kinds.all(|kind| kind == first) { first } else { Dtype::F32 }
}

/// The bytes of a tensor in single precision, or as they are where they are of this kind.
fn in_kind(raw: RawTensor, dtype: Dtype) -> Vec<u8> {
    if raw.dtype == dtype {
        return raw.bytes;
    }
    dequantise(raw.dtype, &raw.bytes).into_iter().flat_map(f32::to_le_bytes).collect()
}

fn transposed(bytes: &[u8], rows: usize, columns: usize, width: usize) -> Vec<u8> {
    let mut turned = Vec::with_capacity(bytes.len());
    for column in 0..columns {
        for row in 0..rows {
            turned.extend(&bytes[(row * columns + column) * width..][..width]);
        }
    }
    turned
}

impl TensorSource for View {
    fn tensors(&self) -> &[TensorInfo] {
        &self.tensors
    }

    fn read(&self, name: &str) -> Result<RawTensor, WeightsError> {
        let (&TensorInfo { dtype, ref shape, .. }, origin) = self.find(name)?;
        let all = 0..shape.iter().map(|&dim| dim as u64).product();
        let bytes = match origin {
            Origin::Whole(from) => self.source.read(from)?.bytes,
            Origin::Transposed(from) => {
                let bytes = in_kind(self.source.read(from)?, dtype);
                transposed(&bytes, shape[1], shape[0], dtype.block_bytes())
            }
            Origin::Rows { .. } => self.read_range(name, all)?,
            Origin::Joined(parts) => self.read_joined(parts, dtype, &all)?,
        };
        Ok(RawTensor { dtype, shape: shape.clone(), bytes })
    }

    fn read_range(&self, name: &str, elements: Range<u64>) -> Result<Vec<u8>, WeightsError> {
        let (info, origin) = self.find(name)?;
        byte_range(name, info.dtype, info.elements(), &elements)?;
        match origin {
            Origin::Whole(from) => self.source.read_range(from, elements),
            Origin::Rows { name: from, first, .. } => {
                let skipped = info.elements() / info.shape[0] as u64 * *first as u64;
                self.source.read_range(from, elements.start + skipped..elements.end + skipped)
            }
            Origin::Joined(parts) => self.read_joined(parts, info.dtype, &elements),
            Origin::Transposed(_) => {
                let bytes = byte_range(name, info.dtype, info.elements(), &elements)?;
                let mut all = self.read(name)?.bytes;
                all.truncate(bytes.end as usize);
                Ok(all.split_off(bytes.start as usize))
            }
        }
    }

    fn mapped(&self, name: &str) -> Option<&[u8]> {
        let index = self.tensors.binary_search_by(|tensor| tensor.name.as_str().cmp(name)).ok()?;
        match &self.origins[index] {
            Origin::Whole(from) => self.source.mapped(from),
            Origin::Rows { name: from, first, .. } => {
                let TensorInfo { ref shape, bytes, .. } = self.tensors[index];
                let row = bytes as usize / shape[0];
                self.source.mapped(from)?.get(first * row..)?.get(..bytes as usize)
            }
            Origin::Transposed(_) | Origin::Joined(_) => None,
        }
    }

    fn release(&self, name: &str) {
        let Ok(index) = self.tensors.binary_search_by(|tensor| tensor.name.as_str().cmp(name)) else { return };
        match &self.origins[index] {
            Origin::Whole(from) | Origin::Transposed(from) | Origin::Rows { name: from, .. } => {
                self.source.release(from);
            }
            Origin::Joined(parts) => parts.iter().for_each(|part| self.source.release(part)),
        }
    }

    fn metadata(&self, key: &str) -> Option<&str> {
        self.source.metadata(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{SafetensorsFile, TensorView, write_safetensors};

    fn source() -> Rc<dyn TensorSource> {
        let bytes: Vec<u8> = (0u8..12).flat_map(|value| f32::from(value).to_le_bytes()).collect();
        let views = [
            TensorView { name: "fused", dtype: Dtype::F32, shape: &[6, 2], bytes: &bytes },
            TensorView { name: "other", dtype: Dtype::F32, shape: &[3, 2], bytes: &bytes[..24] },
        ];
        let mut file = Vec::new();
        write_safetensors(&mut file, views, &std::collections::BTreeMap::new()).unwrap();
        Rc::new(SafetensorsFile::open(file).unwrap())
    }

    fn entry(name: &str, shape: &[usize], origin: Origin) -> ViewEntry {
        ViewEntry { name: name.to_owned(), shape: shape.to_vec(), origin }
    }

    #[test]
    fn a_view_renames_cuts_turns_and_joins() {
        let rows = |first| Origin::Rows { name: "fused".to_owned(), first, count: 2 };
        let view = View::new(
            source(),
            vec![
                entry("v", &[2, 2], rows(4)),
                entry("q", &[2, 2], rows(0)),
                entry("conv", &[3, 2, 1, 1], Origin::Whole("other".to_owned())),
                entry("turned", &[2, 3], Origin::Transposed("other".to_owned())),
                entry("joined", &[9, 2], Origin::Joined(vec!["fused".to_owned(), "other".to_owned()])),
            ],
        )
        .unwrap();
        let values = |name: &str| view.read(name).unwrap().to_f32();
        assert_eq!(values("q"), [0.0, 1.0, 2.0, 3.0]);
        assert_eq!(values("v"), [8.0, 9.0, 10.0, 11.0]);
        assert_eq!(values("turned"), [0.0, 2.0, 4.0, 1.0, 3.0, 5.0]);
        assert_eq!(values("joined")[10..14], [10.0, 11.0, 0.0, 1.0]);
        assert_eq!(view.info("conv").unwrap().shape, [3, 2, 1, 1]);
        assert_eq!(view.info("v").unwrap().offset, view.info("q").unwrap().offset + 32);
        assert!(matches!(view.read("fused"), Err(WeightsError::UnknownTensor { .. })));
    }

    #[test]
    fn a_part_of_a_tensor_is_what_the_whole_has_there() {
        let rows = Origin::Rows { name: "fused".to_owned(), first: 2, count: 4 };
        let view = View::new(
            source(),
            vec![
                entry("rows", &[4, 2], rows),
                entry("conv", &[3, 2, 1, 1], Origin::Whole("other".to_owned())),
                entry("turned", &[2, 3], Origin::Transposed("other".to_owned())),
                entry("joined", &[9, 2], Origin::Joined(vec!["fused".to_owned(), "other".to_owned()])),
            ],
        )
        .unwrap();
        for info in view.tensors() {
            let whole = view.read(&info.name).unwrap().bytes;
            let count = info.elements();
            for (first, end) in (0..=count).flat_map(|first| (first..=count).map(move |end| (first, end))) {
                let part = view.read_range(&info.name, first..end).unwrap();
                assert_eq!(part, whole[first as usize * 4..end as usize * 4], "{} {first}..{end}", info.name);
            }
            let beyond = view.read_range(&info.name, 0..count + 1);
            assert!(matches!(beyond, Err(WeightsError::Elements { .. })), "{beyond:?}");
        }
    }

    #[test]
    fn blocks_of_another_kind_are_joined_piece_by_piece() {
        let values: Vec<f32> = (0..64u8).map(f32::from).collect();
        let packed = crate::quantise(&values, Dtype::Q8_0).unwrap();
        let list = [("a", Dtype::Q8_0), ("b", Dtype::F32)].map(|(name, dtype)| crate::NewTensor {
            name: name.to_owned(),
            dtype,
            shape: vec![2, 32],
        });
        let mut writer = crate::GgufWriter::new(Vec::new(), &[], &list).unwrap();
        writer.push(&packed).unwrap();
        writer.push(&crate::quantise(&values, Dtype::F32).unwrap()).unwrap();
        let source = Rc::new(crate::GgufFile::open(writer.finish().unwrap()).unwrap());
        assert!(matches!(source.read_range("a", 0..31), Err(WeightsError::Elements { .. })));
        assert_eq!(source.read_range("a", 32..64).unwrap(), packed[34..]);
        let parts = Origin::Joined(vec!["a".to_owned(), "b".to_owned()]);
        let view = View::new(source, vec![entry("joined", &[4, 32], parts)]).unwrap();
        let whole = view.read("joined").unwrap();
        assert_eq!(whole.dtype, Dtype::F32);
        assert_eq!(view.read_range("joined", 5..97).unwrap(), whole.bytes[20..388]);
    }

    #[test]
    fn a_view_refuses_what_its_source_has_not() {
        let refused = |entries| View::new(source(), entries).err().unwrap();
        let other = || Origin::Whole("other".to_owned());
        assert!(matches!(refused(vec![entry("a", &[7], other())]), WeightsError::View { .. }));
        assert!(matches!(
            refused(vec![entry("a", &[3, 2], other()), entry("a", &[6], other())]),
            WeightsError::View { .. }
        ));
        let rows = Origin::Rows { name: "fused".to_owned(), first: 5, count: 2 };
        assert!(matches!(refused(vec![entry("a", &[2, 2], rows)]), WeightsError::View { .. }));
        let unknown = Origin::Whole("none".to_owned());
        assert!(matches!(refused(vec![entry("a", &[1], unknown)]), WeightsError::UnknownTensor { .. }));
    }
}
