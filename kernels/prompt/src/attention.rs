//! Emphasis: how much each word counts.

use super::stands_alone;

/// What a pair of round brackets multiplies by; square ones divide.
const STEP: f64 = 1.1;
/// Weights beyond this only make numbers that are none.
const MOST: f64 = 1e4;
/// The word that begins a new chunk.
const BREAK: &str = "BREAK";

/// A run of text of one weight.
#[derive(Debug, Clone, PartialEq)]
pub enum Piece {
    /// Words.
    Text {
        /// Them, without brackets and backslashes.
        text: String,
        /// What their vectors are multiplied by.
        weight: f64,
    },
    /// What follows begins a new chunk of tokens.
    Break,
}

/// A sign of the text.
#[derive(Debug, Clone, Copy)]
enum Sign<'a> {
    Text(&'a str),
    Open(usize),
    Close(usize),
    Break,
}

/// The two kinds of brackets: what they multiply by where nothing is written.
const FACTORS: [f64; 2] = [STEP, 1.0 / STEP];

/// Divides a text into runs of equal weight.
///
/// `(x)` counts 1.1 times, `[x]` 1 / 1.1 times, `(x:1.3)` 1.3 times, and brackets within brackets multiply; a backslash makes the
/// bracket behind it text. A bracket that is never closed reaches to the end.
pub fn pieces(text: &str) -> Vec<Piece> {
    let (signs, factors) = signs(text);
    let mut pieces = Vec::new();
    // What all open brackets of a kind make together, innermost last, so that closing one is exact.
    let mut open = [vec![1.0], vec![1.0]];
    let mut opened = factors.iter();
    for sign in signs {
        match sign {
            Sign::Open(kind) => {
                let outer = open[kind].last().copied().unwrap_or(1.0);
                open[kind].push(outer * opened.next().copied().unwrap_or(1.0));
            }
            Sign::Close(kind) => drop(open[kind].pop()),
            Sign::Text(text) => {
                let weight: f64 = open.iter().filter_map(|kind| kind.last()).product();
                push(&mut pieces, text, weight.clamp(-MOST, MOST));
            }
            Sign::Break => pieces.push(Piece::Break),
        }
    }
    if pieces.is_empty() {
        push(&mut pieces, "", 1.0);
    }
    pieces
}

/// Lengthens the last run where the weight is the same.
#[expect(clippy::float_cmp, reason = "the same brackets make the same weight to the last bit")]
fn push(pieces: &mut Vec<Piece>, more: &str, of: f64) {
    match pieces.last_mut() {
        Some(Piece::Text { text, weight }) if *weight == of => text.push_str(more),
        _ => pieces.push(Piece::Text { text: more.to_owned(), weight: of }),
    }
}

/// The signs of a text, and the factor of each opening bracket in the order of the text.
fn signs(text: &str) -> (Vec<Sign<'_>>, Vec<f64>) {
    let mut signs = Vec::new();
    let mut factors: Vec<f64> = Vec::new();
    let mut open: [Vec<usize>; 2] = [Vec::new(), Vec::new()];
    let mut at = 0;
    while let Some(first) = text[at..].chars().next() {
        let rest = &text[at..];
        let mut length = first.len_utf8();
        match first {
            '\\' => {
                let escaped = rest[1..].chars().next().filter(|next| "()[]\\".contains(*next));
                length += escaped.map_or(0, char::len_utf8);
                signs.push(Sign::Text(&rest[1..length]));
            }
            '(' | '[' => {
                let kind = usize::from(first == '[');
                open[kind].push(factors.len());
                factors.push(FACTORS[kind]);
                signs.push(Sign::Open(kind));
            }
            ')' | ']' => {
                let kind = usize::from(first == ']');
                let closes = open[kind].pop().is_some();
                signs.push(if closes { Sign::Close(kind) } else { Sign::Text(&rest[..length]) });
            }
            ':' => match (weight(rest), open[0].last()) {
                (Some((weight, all)), Some(&index)) => {
                    factors[index] = weight;
                    open[0].pop();
                    signs.push(Sign::Close(0));
                    length = all;
                }
                _ => signs.push(Sign::Text(&rest[..length])),
            },
            _ => {
                length = rest.find(['\\', '(', ')', '[', ']', ':']).unwrap_or(rest.len());
                with_breaks(&rest[..length], &mut signs);
            }
        }
        at += length;
    }
    (signs, factors)
}

/// `: 1.3 )` at the beginning of a text, with its length.
fn weight(text: &str) -> Option<(f64, usize)> {
    let from = text[1..].find(|c: char| !c.is_whitespace())? + 1;
    let number = &text[from..];
    let digits = number.find(|c: char| !matches!(c, '0'..='9' | '.' | '+' | '-'))?;
    let close = number[digits..].find(|c: char| !c.is_whitespace())? + digits;
    let weight = number[..digits].parse().ok().filter(|weight: &f64| weight.is_finite())?;
    number[close..].starts_with(')').then_some((weight, from + close + 1))
}

/// Text in which the word `BREAK`, with the space around it, is a sign of its own.
fn with_breaks<'a>(text: &'a str, signs: &mut Vec<Sign<'a>>) {
    let (mut rest, mut from) = (text, 0);
    while let Some(at) = rest[from..].find(BREAK).map(|at| at + from) {
        if stands_alone(rest, at, BREAK) {
            signs.push(Sign::Text(rest[..at].trim_end()));
            signs.push(Sign::Break);
            rest = rest[at + BREAK.len()..].trim_start();
            from = 0;
        } else {
            from = at + BREAK.len();
        }
    }
    signs.push(Sign::Text(rest));
}
