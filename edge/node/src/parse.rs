//! Numbers of the command line as values of the crate `spec`.

use anyhow::{Context as _, Result, bail};
use spec::SpecError;
use std::path::{Path, PathBuf};

/// A value that may have a fraction.
pub fn number<T: TryFrom<f64, Error = SpecError>>(text: &str) -> Result<T> {
    let number: f64 = text.parse().with_context(|| format!("`{text}` is not a number"))?;
    Ok(T::try_from(number)?)
}

/// A plain number, whose bounds someone else knows.
pub fn real(text: &str) -> Result<f64> {
    text.parse().with_context(|| format!("`{text}` is not a number"))
}

/// A value that may not.
pub fn whole<T: TryFrom<f64, Error = SpecError>>(text: &str) -> Result<T> {
    let number: i64 = text.parse().with_context(|| format!("`{text}` is not a whole number"))?;
    Ok(T::try_from(number as f64)?)
}

/// The path of a PNG that will be written.
pub fn png_path(text: &str) -> Result<PathBuf> {
    let path = PathBuf::from(text);
    if !path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("png")) {
        bail!("pictures are written as PNG, so the name must end in .png");
    }
    Ok(path)
}

/// Refuses a file whose folder is not there, before hours are spent on what should go into it.
pub fn check_folder(path: &Path) -> Result<()> {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() && !folder.is_dir() => {
            bail!("the folder {} does not exist, so {} cannot be written", folder.display(), path.display())
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use spec::{Guidance, Steps};

    #[test]
    fn numbers_are_refused_in_the_words_of_their_type() {
        assert!((number::<Guidance>("4.5").unwrap().get() - 4.5).abs() < 1e-6);
        assert_eq!(whole::<Steps>("20").unwrap().get(), 20);
        let refused = |text| whole::<Steps>(text).unwrap_err().to_string();
        assert_eq!(refused("0"), "steps is 0, but must be between 1 and 1000");
        assert_eq!(refused("-3"), "steps is -3, but must be between 1 and 1000");
        assert_eq!(refused("2.5"), "`2.5` is not a whole number");
        assert!(number::<Guidance>("nan").is_err());
    }
}
