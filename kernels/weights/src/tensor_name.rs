/// Longest tensor name that is accepted, in bytes.
pub(crate) const MAX_NAME_LEN: usize = 256;

/// Whether `name` may name a tensor: `[A-Za-z0-9._/-]{1,256}` with no `..` between slashes.
///
/// Names become keys of maps, parts of file names and lines of logs, so nothing that means something to any of them
/// gets in.
pub(crate) fn is_tensor_name(name: &str) -> bool {
    (1..=MAX_NAME_LEN).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._/-".contains(&byte))
        && name.split('/').all(|segment| segment != "..")
}

/// Whether `name` may name a file beside the one that mentions it: `[A-Za-z0-9._-]{1,255}`, no leading dot.
pub(crate) fn is_file_name(name: &str) -> bool {
    (1..=255).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
        && !name.starts_with('.')
        && !name.contains("..")
}

/// A name from an untrusted file, made fit for an error message: escaped, and cut after 80 characters.
pub(crate) fn shown(name: &str) -> String {
    const SHOWN: usize = 80;
    let mut text: String = name.chars().take(SHOWN).flat_map(char::escape_debug).collect();
    if name.chars().nth(SHOWN).is_some() {
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tensor_names_are_plain() {
        for name in ["a", "model.diffusion_model.out.2.weight", "lora/te-1.weight", "a..b"] {
            assert!(is_tensor_name(name), "{name}");
        }
        for name in ["", "a b", "../a", "a/../b", "..", "ä", "a\n", "a\\b", &"a".repeat(257)] {
            assert!(!is_tensor_name(name), "{name}");
        }
    }

    #[test]
    fn file_names_stay_in_their_folder() {
        assert!(is_file_name("model-00001-of-00002.safetensors"));
        for name in ["", ".hidden", "..", "a..b", "a/b", "a\\b", "C:x"] {
            assert!(!is_file_name(name), "{name}");
        }
    }

    #[test]
    fn shown_names_are_short_and_printable() {
        assert_eq!(shown("a\n\u{1b}"), "a\\n\\u{1b}");
        assert_eq!(shown(&"x".repeat(1000)).chars().count(), 81);
    }
}
