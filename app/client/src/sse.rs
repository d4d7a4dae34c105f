//! Server-sent events, read as they arrive (WHATWG HTML, section 9.2.6).

use std::{mem, time::Duration};
use thiserror::Error;

/// Longest event that is read; a preview as base64 is a hundredth of it.
const MAX_BYTES: usize = 32 << 20;

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// What kind of event; `message` where the stream does not say.
    pub event: String,
    /// Its lines.
    pub data: String,
    /// The last id that the stream gave, with which it can be taken up again.
    pub id: Option<String>,
}

/// An event that does not end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("an event of the stream is longer than {MAX_BYTES} bytes")]
pub struct TooLong;

/// Takes bytes as they come, cut anywhere, and gives whole events.
#[derive(Debug, Default)]
pub struct Parser {
    line: Vec<u8>,
    // A line feed right after a carriage return belongs to the same end of line, also in the next piece.
    was_return: bool,
    has_begun: bool,
    event: String,
    data: String,
    id: Option<String>,
    retry: Option<Duration>,
}

impl Parser {
    /// How long the stream asks to wait before it is taken up again, if it does.
    pub const fn retry(&self) -> Option<Duration> {
        self.retry
    }

    /// The events that end in `bytes`.
    ///
    /// # Errors
    /// [`TooLong`], after which the stream is of no use.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Vec<Message>, TooLong> {
        let mut messages = Vec::new();
        for &byte in bytes {
            match byte {
                b'\n' if self.was_return => {}
                b'\n' | b'\r' => messages.extend(self.end_line()),
                _ if self.line.len() + self.data.len() >= MAX_BYTES => return Err(TooLong),
                _ => self.line.push(byte),
            }
            self.was_return = byte == b'\r';
        }
        Ok(messages)
    }

    fn end_line(&mut self) -> Option<Message> {
        let line = mem::take(&mut self.line);
        let line = String::from_utf8_lossy(&line);
        let is_first = !mem::replace(&mut self.has_begun, true);
        let line = if is_first { line.trim_start_matches('\u{feff}') } else { &line };
        if line.is_empty() {
            return self.dispatch();
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.event),
            "data" => {
                self.data.push_str(value);
                self.data.push('\n');
            }
            "id" if !value.contains('\0') => self.id = Some(value.to_owned()),
            "retry" if value.bytes().all(|byte| byte.is_ascii_digit()) => {
                self.retry = value.parse().ok().map(Duration::from_millis).or(self.retry);
            }
            // A comment, which keeps the connection open, or a field that is none.
            _ => {}
        }
        None
    }

    fn dispatch(&mut self) -> Option<Message> {
        let event = mem::take(&mut self.event);
        let mut data = mem::take(&mut self.data);
        // Without a line of data there is no event.
        data.pop()?;
        let event = if event.is_empty() { "message".to_owned() } else { event };
        Some(Message { event, data, id: self.id.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str = "\u{feff}: hello\r\nretry: 1500\nid: 1\r\nevent: progress\r\ndata: {\"step\":1}\r\n\r\n\
        data:first\rdata: second ☀\r\rid\ndata\n\nevent: lost\n\nid: 9\nevent: done\ndata: x\n\nevent: cut\ndata: y\n";

    fn message(event: &str, data: &str, id: &str) -> Message {
        Message { event: event.to_owned(), data: data.to_owned(), id: Some(id.to_owned()) }
    }

    fn expected() -> Vec<Message> {
        vec![
            message("progress", "{\"step\":1}", "1"),
            message("message", "first\nsecond ☀", "1"),
            message("message", "", ""),
            message("done", "x", "9"),
        ]
    }

    #[test]
    fn every_end_of_line_and_field_is_read() {
        let mut parser = Parser::default();
        assert_eq!(parser.push(STREAM.as_bytes()), Ok(expected()));
        assert_eq!(parser.retry(), Some(Duration::from_millis(1500)));
    }

    #[test]
    fn it_does_not_matter_where_the_stream_is_cut() {
        for size in 1..20 {
            let mut parser = Parser::default();
            let messages: Vec<Message> =
                STREAM.as_bytes().chunks(size).flat_map(|piece| parser.push(piece).unwrap()).collect();
            assert_eq!(messages, expected(), "in pieces of {size}");
        }
    }

    #[test]
    fn an_event_without_an_end_is_given_up() {
        let mut parser = Parser::default();
        let piece = vec![b'x'; 1 << 20];
        let gave_up = (0..40).any(|_| parser.push(&piece).is_err());
        assert!(gave_up);
    }

    #[test]
    fn a_retry_that_is_no_number_is_ignored() {
        let mut parser = Parser::default();
        parser.push(b"retry: 20\nretry: soon\nretry: 99999999999999999999999\n").unwrap();
        assert_eq!(parser.retry(), Some(Duration::from_millis(20)));
    }
}
