//! How a prompt is cut, with a tokenizer that knows bytes and a few words.

use diffusion::{
    prompt::pieces,
    text::{Chunk, Tokenizer, chunks},
};
use std::collections::BTreeMap;

const END: &str = "<|endoftext|>";

/// Knows printable ASCII, and the words `red` and `cat`.
fn tiny() -> Tokenizer {
    let signs: Vec<String> = (b'!'..=b'~').map(|byte| char::from(byte).to_string()).collect();
    let mut tokens = signs.clone();
    tokens.extend(signs.iter().map(|sign| format!("{sign}</w>")));
    tokens.extend(["re", "red</w>", "ca", "cat</w>", "<|startoftext|>", END].map(str::to_owned));
    let vocab: BTreeMap<_, _> = tokens.into_iter().zip(0_u32..).collect();
    let vocab = serde_json::to_string(&vocab).expect("a map of numbers");
    Tokenizer::new(&vocab, "#version: 0.2\nr e\nre d</w>\nc a\nca t</w>\n", END).expect("a small tokenizer")
}

/// The chunks of a text that have room for ten tokens.
fn cut(text: &str) -> Vec<String> {
    let tokenizer = tiny();
    let word = |id: &u32| match *id {
        id if id == tokenizer.ids("cat")[0] => "c",
        id if Some(id) == tokenizer.comma_id() => ",",
        id if id == tokenizer.ids("red")[0] => "r",
        _ => "?",
    };
    chunks(&tokenizer, &pieces(text), 12).iter().map(|chunk| chunk.ids.iter().map(word).collect()).collect()
}

#[test]
fn a_full_chunk_gives_what_stands_behind_its_comma_to_the_next() {
    assert_eq!(cut(""), [""]);
    assert_eq!(cut(&"cat ".repeat(10)), ["cccccccccc"]);
    assert_eq!(cut(&"cat ".repeat(12)), ["cccccccccc", "cc"]);
    assert_eq!(cut("cat cat cat, cat cat cat cat cat cat cat cat"), ["ccc,", "cccccccc"]);
    assert_eq!(cut(&format!("{}, cat", "cat ".repeat(10))), ["cccccccccc", ",c"]);
    assert_eq!(cut(&format!("{}, cat", "cat ".repeat(9))), ["ccccccccc,", "c"]);
}

#[test]
fn a_comma_more_than_twenty_tokens_back_moves_nothing() {
    let tokenizer = tiny();
    let sizes = |before: usize| -> Vec<usize> {
        let text = format!("{}, {}", "cat ".repeat(before), "red ".repeat(40));
        chunks(&tokenizer, &pieces(&text), 32).iter().map(|chunk| chunk.ids.len()).collect()
    };
    assert_eq!(sizes(9), [30, 20], "the comma is the tenth of thirty: 21 back");
    assert_eq!(sizes(10), [11, 30, 10], "the comma is the eleventh of thirty: 20 back");
}

#[test]
fn a_break_begins_a_new_chunk() {
    assert_eq!(cut("cat BREAK red"), ["c", "r"]);
    assert_eq!(cut("BREAK red"), ["", "r"]);
    assert_eq!(cut("cat BREAK"), ["c"]);
    assert_eq!(cut("cat BREAK BREAK red"), ["c", "", "r"]);
}

#[test]
fn weights_stand_with_their_tokens() {
    let cut = chunks(&tiny(), &pieces("cat (red:1.5) BREAK [cat]"), 6);
    assert_eq!((&cut[0].weights[..], &cut[1].weights[..]), (&[1.0, 1.5][..], &[(1.0_f64 / 1.1) as f32][..]));
    assert!(!cut[0].is_plain());
}

#[test]
fn a_short_prompt_is_the_plain_chunk() {
    let tokenizer = tiny();
    for text in ["", "red cat, cat", "a 3:4, don't"] {
        assert_eq!(chunks(&tokenizer, &pieces(text), 40), [Chunk::plain(&tokenizer, text, 40)]);
    }
    assert_eq!(Chunk::plain(&tokenizer, &"cat ".repeat(9), 6).ids.len(), 4);
}

#[test]
fn the_tokens_of_one_added_word_stay_together() {
    let mut tokenizer = tiny();
    tokenizer.add_token("<style>", vec![7, 8, 9]);
    let cat = tokenizer.ids("cat")[0];
    let cut = |text: &str| chunks(&tokenizer, &pieces(text), 6).into_iter().map(|chunk| chunk.ids).collect::<Vec<_>>();
    assert_eq!(cut("cat cat <style>"), [vec![cat, cat], vec![7, 8, 9]]);
    assert_eq!(cut("cat <style>"), [[cat, 7, 8, 9]]);
    tokenizer.add_token("<long>", (20..27).collect());
    assert_eq!(chunks(&tokenizer, &pieces("cat <long>"), 6).len(), 2);
}
