//! Styles: words that are put around a prompt under one name.

use super::shown;
use serde_json::Value;
use thiserror::Error;

/// Where the prompt goes in a style.
const PLACE: &str = "{prompt}";

/// Styles that cannot be used.
#[derive(Debug, Error)]
pub enum StyleError {
    /// The list is not JSON.
    #[error("the styles begin like a JSON list and are none")]
    Json(#[source] serde_json::Error),
    /// The list has not the right form.
    #[error(
        "the styles are no JSON list of objects with `name`, and `prompt` and `negative_prompt` or `prefix`, `suffix` and `negative`"
    )]
    Form,
    /// The table's first line does not say what the columns are.
    #[error("the styles' first line must name the columns: name,prompt,negative_prompt")]
    Columns,
    /// A quoted field has no end.
    #[error("line {0} of the styles begins a quoted field that never ends")]
    Quote(usize),
    /// Nobody has such a style.
    #[error("there is no style `{name}`; there are {known}")]
    Unknown {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
}

/// Words to put around a prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Style {
    /// What it is asked for by.
    pub name: String,
    /// Put in the prompt's place with the prompt in the place of `{prompt}`, or behind it where there is no such place.
    pub prompt: String,
    /// The same for the negative prompt.
    pub negative_prompt: String,
}

impl Style {
    /// Prompt and negative prompt in this style.
    pub fn apply(&self, prompt: &str, negative_prompt: &str) -> (String, String) {
        (merged(&self.prompt, prompt), merged(&self.negative_prompt, negative_prompt))
    }
}

fn merged(style: &str, prompt: &str) -> String {
    if style.contains(PLACE) { style.replace(PLACE, prompt) } else { joined([prompt, style]) }
}

fn joined<'a>(parts: impl IntoIterator<Item = &'a str>) -> String {
    let parts: Vec<_> = parts.into_iter().map(str::trim).filter(|part| !part.is_empty()).collect();
    parts.join(", ")
}

/// A file of styles.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Styles(Vec<Style>);

/// A style as a JSON list has it; `None` where a field is no text or the name is missing.
fn listed(style: &Value) -> Option<Style> {
    let text = |key: &str| style.get(key).map_or(Some(""), Value::as_str);
    let name = style.get("name")?.as_str()?.to_owned();
    let [prompt, prefix, suffix] = [text("prompt")?, text("prefix")?, text("suffix")?];
    let negative = if style.get("negative").is_some() { "negative" } else { "negative_prompt" };
    let around = joined([prefix, PLACE, suffix]);
    let prompt = if prompt.is_empty() && around != PLACE { around } else { prompt.to_owned() };
    Some(Style { name, prompt, negative_prompt: text(negative)?.to_owned() })
}

impl Styles {
    /// Reads the web UI's `styles.csv` (columns `name`, `prompt`, `negative_prompt`) or a JSON list of objects.
    ///
    /// # Errors
    /// [`StyleError`] saying what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, StyleError> {
        let text = text.trim_start_matches('\u{feff}');
        if text.trim_start().starts_with('[') { Self::from_json(text) } else { Self::from_csv(text) }
    }

    fn from_json(text: &str) -> Result<Self, StyleError> {
        // A derived reader would quote a text that stands in the wrong place in full.
        let all: Value = serde_json::from_str(text).map_err(StyleError::Json)?;
        let styles = all.as_array().and_then(|all| all.iter().map(listed).collect());
        styles.map(Self).ok_or(StyleError::Form)
    }

    fn from_csv(text: &str) -> Result<Self, StyleError> {
        let mut rows = rows(text)?.into_iter();
        let head = rows.next().unwrap_or_default();
        let column = |names: &[&str]| head.iter().position(|title| names.contains(&title.trim()));
        let (Some(name), Some(prompt)) = (column(&["name"]), column(&["prompt", "text"])) else {
            return Err(StyleError::Columns);
        };
        let negative = column(&["negative_prompt"]);
        let styles = rows.filter_map(|row| {
            let field = |column: usize| row.get(column).cloned().unwrap_or_default();
            let style = Style {
                name: field(name),
                prompt: field(prompt),
                negative_prompt: negative.map(field).unwrap_or_default(),
            };
            (!style.name.is_empty()).then_some(style)
        });
        Ok(Self(styles.collect()))
    }

    /// Every style, in the order of the file.
    pub fn all(&self) -> &[Style] {
        &self.0
    }

    /// The style of a name.
    ///
    /// # Errors
    /// [`StyleError::Unknown`] listing the first of those that there are.
    pub fn get(&self, name: &str) -> Result<&Style, StyleError> {
        self.0.iter().find(|style| style.name == name).ok_or_else(|| {
            let known: Vec<_> = self.0.iter().take(20).map(|style| shown(&style.name)).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            StyleError::Unknown { name: shown(name), known }
        })
    }
}

/// Fields separated by commas, in quotes where they hold commas, quotes (doubled) or line ends (RFC 4180).
fn rows(text: &str) -> Result<Vec<Vec<String>>, StyleError> {
    let (mut rows, mut row, mut field) = (Vec::new(), Vec::new(), String::new());
    let (mut line, mut quoted_since) = (1, None);
    let mut signs = text.chars().peekable();
    while let Some(sign) = signs.next() {
        line += usize::from(sign == '\n');
        match (sign, quoted_since) {
            ('"', Some(_)) if signs.next_if_eq(&'"').is_some() => field.push('"'),
            ('"', Some(_)) => quoted_since = None,
            ('"', None) if field.is_empty() => quoted_since = Some(line),
            (',', None) => row.push(std::mem::take(&mut field)),
            ('\r', None) if signs.peek() == Some(&'\n') => {}
            ('\n', None) => {
                row.push(std::mem::take(&mut field));
                rows.push(std::mem::take(&mut row));
            }
            (other, _) => field.push(other),
        }
    }
    if let Some(line) = quoted_since {
        return Err(StyleError::Quote(line));
    }
    if !field.is_empty() || !row.is_empty() {
        row.push(field);
        rows.push(row);
    }
    Ok(rows)
}
