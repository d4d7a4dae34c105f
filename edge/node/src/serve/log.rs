//! Lines on standard error, as JSON for machines or as text for people.
//!
//! Whoever writes a line names each field, so that nothing gets in by being part of something else: no prompts, no keys, no
//! tokens, no picture's bytes.

use clap::ValueEnum;
use serde_json::{Map, Value};
use std::{
    fmt::Write as _,
    io::{self, IsTerminal as _, Write as _},
    panic,
    sync::OnceLock,
    time::{SystemTime, UNIX_EPOCH},
};

/// How lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    Info,
    Warn,
    Error,
}

impl Level {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

static FORMAT: OnceLock<LogFormat> = OnceLock::new();

/// Decides how lines look, JSON where standard error is no terminal, and makes panics such lines too.
///
/// A panic's own words are left out: a slice error quotes the text that was sliced, which can be a prompt.
pub fn start(format: Option<LogFormat>) {
    let usual = if io::stderr().is_terminal() { LogFormat::Text } else { LogFormat::Json };
    FORMAT.get_or_init(|| format.unwrap_or(usual));
    panic::set_hook(Box::new(|info| {
        let at = info.location().map_or_else(String::new, ToString::to_string);
        error("a thread panicked", &[("at", at.into())]);
    }));
}

/// Something happened.
pub fn info(message: &str, fields: &[(&str, Value)]) {
    write(Level::Info, message, fields);
}

/// Something went wrong that will be tried again or left out.
pub fn warn(message: &str, fields: &[(&str, Value)]) {
    write(Level::Warn, message, fields);
}

/// Something went wrong.
pub fn error(message: &str, fields: &[(&str, Value)]) {
    write(Level::Error, message, fields);
}

fn write(level: Level, message: &str, fields: &[(&str, Value)]) {
    let format = FORMAT.get().copied().unwrap_or(LogFormat::Text);
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
    let line = line(format, level, message, fields, seconds);
    // Nothing is left to say where even this cannot be written.
    io::stderr().lock().write_all(line.as_bytes()).ok();
}

fn line(format: LogFormat, level: Level, message: &str, fields: &[(&str, Value)], seconds: f64) -> String {
    match format {
        LogFormat::Json => {
            let mut object = Map::new();
            object.insert("ts".to_owned(), ((seconds * 1000.0).round() / 1000.0).into());
            object.insert("level".to_owned(), level.as_str().into());
            object.insert("message".to_owned(), message.into());
            object.extend(fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
            format!("{}\n", Value::Object(object))
        }
        LogFormat::Text => {
            let mut text = format!("{:>5} {message}", level.as_str());
            for (name, value) in fields {
                // Writing to a string does not fail.
                let _ = match value {
                    Value::String(value) => write!(text, " {name}={value}"),
                    value => write!(text, " {name}={value}"),
                };
            }
            // A field cannot begin a line of its own.
            format!("{}\n", text.replace(['\n', '\r'], " "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_line_in_both_forms() {
        let fields = [("job", 7.into()), ("trace", "a\nb".into())];
        let json = line(LogFormat::Json, Level::Warn, "lease lost", &fields, 12.3456);
        assert_eq!(json.matches('\n').count(), 1);
        let read: Value = serde_json::from_str(&json).unwrap();
        assert_eq!(read["ts"], 12.346);
        assert_eq!(read["level"], "warn");
        assert_eq!(read["message"], "lease lost");
        assert_eq!((&read["job"], &read["trace"]), (&7.into(), &"a\nb".into()));
        assert_eq!(
            line(LogFormat::Text, Level::Warn, "lease lost", &fields, 0.0),
            " warn lease lost job=7 trace=a b\n"
        );
    }
}
