//! Lenient reading of fields that clients spell and type in many ways.
//!
//! Hosted image APIs took numbers as strings, switches as `yes`, `"true"` or `1`, and `null` for "as you like" for years, and
//! their clients still send all of it. A [`Reader`] takes one value by any of its names, and keeps every problem instead of
//! stopping at the first, so that an answer can name all wrong fields at once.

use crate::body::{Fields, kind};
use serde_json::Value;
use std::{collections::BTreeSet, fmt};

/// One field that cannot be used.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldError {
    /// The field, as the client wrote it, or by its first name where it is missing.
    pub name: String,
    /// What came, shortened; `None` where nothing did.
    pub found: Option<String>,
    /// What is wrong.
    pub problem: FieldProblem,
}

/// What is wrong with a field; each dialect has its own words for it.
#[derive(Debug, Clone, PartialEq)]
pub enum FieldProblem {
    /// It must be there.
    Missing,
    /// It must be text.
    NotText,
    /// It must be a number.
    NotANumber,
    /// It must be a whole number.
    NotWhole,
    /// It must be yes or no.
    NotASwitch,
    /// It must be a list of strings.
    NotAList,
    /// It must be this at least.
    TooSmall(f64),
    /// It must be this at most.
    TooLarge(f64),
    /// It must be one of these.
    Unknown(String),
    /// It asks for a part of the model that is not built.
    Unavailable,
    /// There is no such field; perhaps this one was meant.
    NoSuchField(Option<String>),
    /// It is not what it must be, in words.
    Other(String),
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, found, problem } = self;
        write!(f, "{name}")?;
        if let Some(found) = found {
            write!(f, " is {found}, but")?;
        }
        match problem {
            FieldProblem::Missing => write!(f, " is required"),
            FieldProblem::NotText => write!(f, " must be a string"),
            FieldProblem::NotANumber => write!(f, " must be a number"),
            FieldProblem::NotWhole => write!(f, " must be a whole number"),
            FieldProblem::NotASwitch => write!(f, " must be yes or no"),
            FieldProblem::NotAList => write!(f, " must be a list of strings"),
            FieldProblem::TooSmall(min) => write!(f, " must be at least {min}"),
            FieldProblem::TooLarge(max) => write!(f, " must be at most {max}"),
            FieldProblem::Unknown(allowed) => write!(f, " must be one of {allowed}"),
            FieldProblem::Unavailable => write!(f, " must be left out: this server does not have that part"),
            FieldProblem::NoSuchField(Some(meant)) => write!(f, ": there is no such field; did you mean {meant}?"),
            FieldProblem::NoSuchField(None) => write!(f, ": there is no such field"),
            FieldProblem::Other(words) => write!(f, " {words}"),
        }
    }
}

/// Takes fields out of a body.
#[derive(Debug)]
pub struct Reader<'a> {
    fields: &'a Fields,
    errors: Vec<FieldError>,
    /// Every name that was asked for.
    known: BTreeSet<String>,
    mode: Mode,
}

/// How much a [`Reader`] forgives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Everything that can be understood.
    Lenient,
    /// Values in strings, since a form has nothing else; no unknown fields.
    Form,
    /// Values as what they are; no unknown fields.
    Strict,
}

impl<'a> Reader<'a> {
    /// Reads whatever can be understood, and ignores fields that nobody asks for.
    pub const fn new(fields: &'a Fields) -> Self {
        Self { fields, errors: Vec::new(), known: BTreeSet::new(), mode: Mode::Lenient }
    }

    /// Takes numbers as numbers and text as strings alone, and refuses fields that nobody asked for.
    pub fn strict(fields: &'a Fields) -> Self {
        Self { mode: Mode::Strict, ..Self::new(fields) }
    }

    /// Takes values out of strings, as a form or a query has them, and refuses fields that nobody asked for.
    pub fn form(fields: &'a Fields) -> Self {
        Self { mode: Mode::Form, ..Self::new(fields) }
    }

    /// Every problem so far, in the order of reading.
    ///
    /// # Errors
    /// All of them, when there is any.
    pub fn finish(mut self) -> Result<(), Vec<FieldError>> {
        if self.mode != Mode::Lenient {
            let unknown = self.fields.keys().filter(|name| !self.known.contains(name.as_str()));
            self.errors.extend(unknown.map(|name| FieldError {
                name: name.clone(),
                found: None,
                problem: FieldProblem::NoSuchField(nearest(name, &self.known)),
            }));
        }
        if self.errors.is_empty() { Ok(()) } else { Err(self.errors) }
    }

    /// Notes a problem with a field.
    pub fn refuse(&mut self, name: &str, problem: FieldProblem) {
        let found = self.fields.get(name).map(shown);
        self.errors.push(FieldError { name: name.to_owned(), found, problem });
    }

    /// The first of these names that is there with a value; `null` is as good as absent, and so are empty strings, to a reader that
    /// takes whatever can be understood.
    pub fn raw<'n>(&mut self, names: &[&'n str]) -> Option<(&'n str, &'a Value)> {
        self.known.extend(names.iter().map(|&name| name.to_owned()));
        names.iter().find_map(|&name| match self.fields.get(name)? {
            Value::Null => None,
            Value::String(text) if self.mode == Mode::Lenient && text.trim().is_empty() => None,
            value => Some((name, value)),
        })
    }

    /// Text; numbers and booleans are written out.
    pub fn text(&mut self, names: &[&str]) -> Option<String> {
        let is_strict = self.mode == Mode::Strict;
        self.read(names, FieldProblem::NotText, |value| match value {
            Value::String(text) => Some(text.clone()),
            _ if is_strict => None,
            Value::Number(number) => Some(number.to_string()),
            Value::Bool(flag) => Some(flag.to_string()),
            _ => None,
        })
    }

    /// Text that must be there; empty when it is not, which is noted.
    pub fn required_text(&mut self, names: &[&str]) -> String {
        if self.raw(names).is_none_or(|(_, value)| value == "") {
            self.errors.push(FieldError { name: names[0].to_owned(), found: None, problem: FieldProblem::Missing });
        }
        self.text(names).unwrap_or_default()
    }

    /// A finite number, bare or in a string.
    pub fn number(&mut self, names: &[&str]) -> Option<f64> {
        self.read(names, FieldProblem::NotANumber, number)
    }

    /// A finite number between two bounds, both of them allowed.
    pub fn number_in(&mut self, names: &[&str], min: f64, max: f64) -> Option<f64> {
        let number = self.number(names)?;
        self.bounded(names, number, min, max)
    }

    /// A whole number, bare or in a string; `20.0` is one.
    pub fn whole(&mut self, names: &[&str]) -> Option<i64> {
        self.read(names, FieldProblem::NotWhole, whole)
    }

    /// A whole number between two bounds, both of them allowed.
    pub fn whole_in(&mut self, names: &[&str], min: u32, max: u32) -> Option<u32> {
        let number = self.whole(names)?;
        self.bounded(names, number as f64, f64::from(min), f64::from(max)).map(|number| number as u32)
    }

    /// A switch: `yes`, `true`, `1` and `on`, or their opposites, in any case, as a boolean or as a number.
    pub fn flag(&mut self, names: &[&str]) -> Option<bool> {
        let is_strict = self.mode == Mode::Strict;
        self.read(names, FieldProblem::NotASwitch, |value| if is_strict { value.as_bool() } else { flag(value) })
    }

    /// Texts: an array, or one string with commas.
    pub fn list(&mut self, names: &[&str]) -> Vec<String> {
        let list = self.read(names, FieldProblem::NotAList, |value| match value {
            Value::String(text) => {
                Some(text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect())
            }
            Value::Array(values) => values.iter().map(|value| value.as_str().map(str::to_owned)).collect(),
            _ => None,
        });
        list.unwrap_or_default()
    }

    fn read<T>(&mut self, names: &[&str], problem: FieldProblem, read: impl FnOnce(&Value) -> Option<T>) -> Option<T> {
        let (name, value) = self.raw(names)?;
        // A string stands for text and for nothing else.
        let is_spelt_out = self.mode == Mode::Strict && value.is_string() && problem != FieldProblem::NotText;
        let read = if is_spelt_out { None } else { read(value) };
        if read.is_none() {
            self.refuse(name, problem);
        }
        read
    }

    fn bounded(&mut self, names: &[&str], number: f64, min: f64, max: f64) -> Option<f64> {
        let problem = if number < min {
            FieldProblem::TooSmall(min)
        } else if number > max {
            FieldProblem::TooLarge(max)
        } else {
            return Some(number);
        };
        let name = self.raw(names).map_or(names[0], |(name, _)| name);
        self.refuse(name, problem);
        None
    }
}

/// The known name that is spelt most like this one, if any is.
fn nearest(name: &str, known: &BTreeSet<String>) -> Option<String> {
    let nearest = known.iter().map(|other| (distance(name, other), other)).min()?;
    (nearest.0 <= 1 + name.len() / 4).then(|| nearest.1.clone())
}

/// How many letters have to be put in, taken out or changed (Levenshtein, 1966).
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut corner = i;
        let mut left = i + 1;
        for (cell, y) in row.iter_mut().skip(1).zip(b.bytes()) {
            let changed = corner + usize::from(x != y);
            corner = *cell;
            left = changed.min(*cell + 1).min(left + 1);
            *cell = left;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

fn number(value: &Value) -> Option<f64> {
    let number = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    number.filter(|number: &f64| number.is_finite())
}

fn whole(value: &Value) -> Option<i64> {
    /// Up to here every whole number has a double of its own.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let exact = match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    exact.or_else(|| {
        number(value).filter(|number| number.fract() == 0.0 && number.abs() < EXACT).map(|number| number as i64)
    })
}

fn flag(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(flag) => Some(*flag),
        Value::Number(number) => {
            number.as_f64().filter(|number| [0.0, 1.0].contains(number)).map(|number| number > 0.0)
        }
        Value::String(text) => match text.trim().to_ascii_lowercase().as_str() {
            "yes" | "true" | "1" | "on" => Some(true),
            "no" | "false" | "0" | "off" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

/// A value as an error quotes it, or what it is where it could be long.
fn shown(value: &Value) -> String {
    const SHOWN: usize = 40;
    match value {
        Value::String(text) => format!("`{}`", text.chars().take(SHOWN).collect::<String>()),
        Value::Number(_) | Value::Bool(_) => value.to_string(),
        other => kind(other).to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn fields(value: &Value) -> Fields {
        value.as_object().expect("an object").clone()
    }

    #[test]
    fn numbers_and_switches_are_read_however_they_are_written() {
        for (value, whole) in
            [(json!(512), 512), (json!("512"), 512), (json!(512.0), 512), (json!(" 512 "), 512), (json!("512.0"), 512)]
        {
            assert_eq!(Reader::new(&fields(&json!({ "width": value }))).whole(&["width"]), Some(whole), "{value}");
        }
        let seed = json!({ "seed": 18_446_744_073_709_551_615_u64 });
        assert_eq!(Reader::new(&fields(&seed)).whole(&["seed"]), None);
        for (value, flag) in [
            (json!("yes"), Some(true)),
            (json!("No"), Some(false)),
            (json!(true), Some(true)),
            (json!("false"), Some(false)),
            (json!("1"), Some(true)),
            (json!(0), Some(false)),
            (json!(null), None),
            (json!(""), None),
        ] {
            let fields = fields(&json!({ "base64": value }));
            let mut reader = Reader::new(&fields);
            assert_eq!(reader.flag(&["base64"]), flag, "{value}");
            assert_eq!(reader.finish(), Ok(()));
        }
        let fields = fields(&json!({ "lora_model": "a, b,", "images": ["x", "y"] }));
        let mut reader = Reader::new(&fields);
        assert_eq!(reader.list(&["lora", "lora_model"]), ["a", "b"]);
        assert_eq!(reader.list(&["images"]), ["x", "y"]);
        assert!(reader.list(&["nothing"]).is_empty());
    }

    #[test]
    fn the_first_name_with_a_value_counts() {
        let fields = fields(&json!({ "num_inference_steps": null, "steps": "31", "clipskip": "2" }));
        let mut reader = Reader::new(&fields);
        assert_eq!(reader.whole_in(&["num_inference_steps", "steps"], 1, 50), Some(31));
        assert_eq!(reader.whole(&["clip_skip", "clipskip"]), Some(2));
    }

    #[test]
    fn a_strict_reader_takes_nothing_for_something_else() {
        let fields =
            fields(&json!({ "width": "512", "prompt": 7, "base64": "yes", "promt": "x", "zzz": 1, "seed": 3 }));
        let mut reader = Reader::strict(&fields);
        assert_eq!((reader.whole(&["width"]), reader.text(&["prompt"]), reader.flag(&["base64"])), (None, None, None));
        assert_eq!((reader.whole(&["seed"]), reader.raw(&["nothing"])), (Some(3), None));
        let said: Vec<String> = reader.finish().expect_err("five").iter().map(ToString::to_string).collect();
        let expected = [
            "width is `512`, but must be a whole number",
            "prompt is 7, but must be a string",
            "base64 is `yes`, but must be yes or no",
            "promt: there is no such field; did you mean prompt?",
            "zzz: there is no such field",
        ];
        assert_eq!(said, expected);
        assert_eq!((distance("", "abc"), distance("kitten", "sitting"), distance("same", "same")), (3, 3, 0));
    }

    #[test]
    fn a_form_has_values_in_strings_but_no_other_fields() {
        let fields =
            fields(&json!({ "width": "512", "base64": "true", "seed": "", "promt": "x", "name": "", "flag": 1 }));
        let mut reader = Reader::form(&fields);
        assert_eq!((reader.whole(&["width"]), reader.flag(&["base64"])), (Some(512), Some(true)));
        assert_eq!((reader.whole(&["seed"]), reader.text(&["name"])), (None, Some(String::new())));
        let said: Vec<String> = reader.finish().expect_err("three").iter().map(ToString::to_string).collect();
        let expected =
            ["seed is ``, but must be a whole number", "flag: there is no such field", "promt: there is no such field"];
        assert_eq!(said, expected);
        assert_eq!(Reader::strict(&fields).flag(&["flag"]), None, "1 is no switch");

        let mut reader = Reader::strict(&fields);
        assert_eq!((reader.text(&["name"]), reader.required_text(&["name"])), (Some(String::new()), String::new()));
        assert_eq!(reader.finish().expect_err("no name")[0].to_string(), "name is required");
    }

    #[test]
    fn every_wrong_field_is_named_at_once() {
        let fields = fields(&json!({
            "width": "wide", "seed": 1.5, "guidance_scale": 1e9, "base64": "perhaps", "strength": [1], "samples": "NaN", "list": [1],
        }));
        let mut reader = Reader::new(&fields);
        reader.required_text(&["prompt"]);
        reader.whole(&["width"]);
        reader.whole(&["seed"]);
        reader.number_in(&["guidance_scale"], 1.0, 20.0);
        reader.flag(&["base64"]);
        reader.number(&["strength"]);
        reader.whole(&["samples"]);
        reader.list(&["list"]);
        let errors = reader.finish().expect_err("all of them");
        let said: Vec<String> = errors.iter().map(ToString::to_string).collect();
        let expected = [
            "prompt is required",
            "width is `wide`, but must be a whole number",
            "seed is 1.5, but must be a whole number",
            "guidance_scale is 1000000000.0, but must be at most 20",
            "base64 is `perhaps`, but must be yes or no",
            "strength is an array, but must be a number",
            "samples is `NaN`, but must be a whole number",
            "list is an array, but must be a list of strings",
        ];
        assert_eq!(said, expected);
    }
}
