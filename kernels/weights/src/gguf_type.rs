use crate::Dtype;

/// How GGUF numbers the kinds of tensors (`ggml_type` in
/// <https://github.com/ggml-org/ggml/blob/master/include/ggml.h>).
const NUMBERED: [(u32, Dtype); 16] = [
    (0, Dtype::F32),
    (1, Dtype::F16),
    (2, Dtype::Q4_0),
    (3, Dtype::Q4_1),
    (6, Dtype::Q5_0),
    (7, Dtype::Q5_1),
    (8, Dtype::Q8_0),
    (12, Dtype::Q4K),
    (13, Dtype::Q5K),
    (14, Dtype::Q6K),
    (24, Dtype::I8),
    (25, Dtype::I16),
    (26, Dtype::I32),
    (27, Dtype::I64),
    (28, Dtype::F64),
    (30, Dtype::BF16),
];

/// The kinds that ggml has and this crate does not read, for messages.
const KNOWN_BY_NAME: [(u32, &str); 16] = [
    (9, "Q8_1"),
    (10, "Q2_K"),
    (11, "Q3_K"),
    (15, "Q8_K"),
    (16, "IQ2_XXS"),
    (17, "IQ2_XS"),
    (18, "IQ3_XXS"),
    (19, "IQ1_S"),
    (20, "IQ4_NL"),
    (21, "IQ3_S"),
    (22, "IQ2_S"),
    (23, "IQ4_XS"),
    (29, "IQ1_M"),
    (34, "TQ1_0"),
    (35, "TQ2_0"),
    (39, "MXFP4"),
];

/// The kind behind a number, where it is one that is read.
pub(crate) fn dtype_of(number: u32) -> Option<Dtype> {
    NUMBERED.iter().find(|(known, _)| *known == number).map(|(_, dtype)| *dtype)
}

/// The number of a kind, where GGUF has one.
pub(crate) fn number_of(dtype: Dtype) -> Option<u32> {
    NUMBERED.iter().find(|(_, known)| *known == dtype).map(|(number, _)| *number)
}

/// What to call a kind that is not read.
pub(crate) fn name_of(number: u32) -> String {
    match KNOWN_BY_NAME.iter().find(|(known, _)| *known == number) {
        Some((_, name)) => (*name).to_owned(),
        None => format!("the unknown type {number}"),
    }
}
