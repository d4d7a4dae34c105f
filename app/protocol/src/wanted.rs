//! What a visitor may write to add a model.

use thiserror::Error;

/// Where Hub names are looked up unless the page says otherwise.
pub const HUB: &str = "https://huggingface.co";

/// What a visitor asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// The URL of a manifest.
    Manifest(String),
    /// The URL of a model's file, whose manifest lies beside it.
    File(String),
    /// A repository of the Hub.
    Repository {
        /// Who it belongs to.
        owner: String,
        /// What it is called.
        name: String,
    },
}

/// What cannot be a model.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum WantedError {
    /// Nothing was written.
    #[error("write the address of a model, or its name on the Hub, such as stabilityai/sd-turbo")]
    Empty,
    /// Neither an address nor a name.
    #[error(
        "\"{0}\" is neither an address that begins with https:// nor a name of the Hub such as stabilityai/sd-turbo"
    )]
    Neither(String),
    /// An address of something else.
    #[error(
        "\"{0}\" is the address of neither a manifest (.json) nor a model's file (.gguf); other kinds must be converted with `darkroom convert` first"
    )]
    Kind(String),
}

impl Wanted {
    /// Reads what was written; `hub` is where names are looked up, whose pages are taken for the names in them.
    ///
    /// # Errors
    /// [`WantedError`], which says what may be written.
    pub fn parse(text: &str, hub: &str) -> Result<Self, WantedError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(WantedError::Empty);
        }
        let page = text.strip_prefix(hub).and_then(|rest| rest.strip_prefix('/'));
        if let Some(repository) = page.and_then(|path| repository(path.trim_end_matches('/'))) {
            return Ok(repository);
        }
        let is_address = ["https://", "http://", "/"].iter().any(|start| text.starts_with(start));
        if !is_address {
            return repository(text).ok_or_else(|| WantedError::Neither(shown(text)));
        }
        // A page about a file, as the Hub's own links are, stands for the file.
        let address = text.replacen("/blob/main/", "/resolve/main/", 1);
        let path = address.split(['?', '#']).next().unwrap_or_default().to_lowercase();
        match path.rsplit_once('.').map(|(_, ending)| ending) {
            Some("json") => Ok(Self::Manifest(address)),
            Some("gguf") => Ok(Self::File(address)),
            _ => Err(WantedError::Kind(shown(text))),
        }
    }
}

fn repository(text: &str) -> Option<Wanted> {
    let (owner, name) = text.split_once('/')?;
    let is_plain = |part: &str| {
        (1..=96).contains(&part.len())
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
            && !part.starts_with('.')
    };
    (is_plain(owner) && is_plain(name)).then(|| Wanted::Repository { owner: owner.to_owned(), name: name.to_owned() })
}

fn shown(text: &str) -> String {
    const SHOWN: usize = 80;
    let mut shown: String = text.chars().take(SHOWN).collect();
    if text.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Wanted, WantedError> {
        Wanted::parse(text, HUB)
    }

    #[test]
    fn names_pages_files_and_manifests_are_told_apart() {
        let turbo = Wanted::Repository { owner: "stabilityai".to_owned(), name: "sd-turbo".to_owned() };
        assert_eq!(parse(" stabilityai/sd-turbo "), Ok(turbo.clone()));
        assert_eq!(parse("https://huggingface.co/stabilityai/sd-turbo/"), Ok(turbo));
        let manifest = "/models/demo/demo-q8_0.gguf.manifest.json";
        assert_eq!(parse(manifest), Ok(Wanted::Manifest(manifest.to_owned())));
        let file = "https://example.com/a.gguf?download=true";
        assert_eq!(parse(file), Ok(Wanted::File(file.to_owned())));
        assert_eq!(
            parse("https://huggingface.co/o/n/blob/main/a.gguf"),
            Ok(Wanted::File("https://huggingface.co/o/n/resolve/main/a.gguf".to_owned()))
        );
    }

    #[test]
    fn everything_else_is_refused_with_what_may_be_written() {
        assert_eq!(parse("  "), Err(WantedError::Empty));
        for text in ["sd-turbo", "a/b/c", "ftp://example.com/a.gguf", "../x", "a b/c"] {
            assert!(matches!(parse(text), Err(WantedError::Neither(_))), "{text}");
        }
        for text in ["https://example.com/model.safetensors", "https://example.com/", "http://x/y.ckpt"] {
            assert!(matches!(parse(text), Err(WantedError::Kind(_))), "{text}");
        }
        assert!(parse(&"x".repeat(1000)).unwrap_err().to_string().chars().count() < 250);
    }
}
