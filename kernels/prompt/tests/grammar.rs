//! The language of prompts, against what the web UI documents.

use prompt::{Editing, ExtraNetwork, MAX_CHARS, Pass, Piece, Prompt, PromptError, Styles, pieces, take_networks};
use proptest::prelude::*;

/// A prompt's texts over so many steps, each with the last step that it is said at.
fn schedule(text: &str, pass: Pass) -> Vec<(usize, String)> {
    let editing = Editing::parse(text);
    let mut spans: Vec<(usize, String)> = Vec::new();
    for step in 1..=pass.steps {
        let said = editing.at(step, pass);
        match spans.last_mut() {
            Some((last, before)) if *before == said => *last = step,
            _ => spans.push((step, said)),
        }
    }
    spans
}

fn texts(pieces: &[Piece]) -> Vec<(&str, f64)> {
    let of = |piece| match piece {
        &Piece::Text { ref text, weight } => (text.as_str(), weight),
        Piece::Break => ("BREAK", -1.0),
    };
    pieces.iter().map(of).collect()
}

fn assert_pieces(text: &str, expected: &[(&str, f64)]) {
    let found = pieces(text);
    let found = texts(&found);
    let close = found.len() == expected.len()
        && found
            .iter()
            .zip(expected)
            .all(|(found, expected)| found.0 == expected.0 && (found.1 - expected.1).abs() < 1e-9);
    assert!(close, "{text} is {found:?}");
}

/// The examples in the documentation of the web UI's own parser.
#[test]
fn emphasis_is_what_the_web_ui_documents() {
    assert_pieces("normal text", &[("normal text", 1.0)]);
    assert_pieces("an (important) word", &[("an ", 1.0), ("important", 1.1), (" word", 1.0)]);
    assert_pieces("(unbalanced", &[("unbalanced", 1.1)]);
    assert_pieces(r"\(literal\]", &[("(literal]", 1.0)]);
    assert_pieces("(unnecessary)(parens)", &[("unnecessaryparens", 1.1)]);
    assert_pieces(
        "a (((house:1.3)) [on] a (hill:0.5), sun, (((sky))).",
        &[
            ("a ", 1.0),
            ("house", 1.573),
            (" ", 1.1),
            ("on", 1.0),
            (" a ", 1.1),
            ("hill", 0.55),
            (", sun, ", 1.1),
            ("sky", 1.4641),
            (".", 1.1),
        ],
    );
}

#[test]
fn what_is_no_weight_is_text() {
    assert_pieces("a clock: 12:30", &[("a clock: 12:30", 1.0)]);
    assert_pieces("5:30) and [x:0.5]", &[("5:30) and ", 1.0), ("x:0.5", 1.0 / 1.1)]);
    assert_pieces("(a:1.2.3)", &[("a:1.2.3", 1.1)]);
    assert_pieces("(a: +0.5 )b", &[("a", 0.5), ("b", 1.0)]);
    assert_pieces("(a:-1)", &[("a", -1.0)]);
    assert_pieces("(a:0)(b:99999999)", &[("a", 0.0), ("b", 1e4)]);
    assert_pieces(r"back\slash \\ end\", &[(r"backslash \ end", 1.0)]);
    assert_pieces("", &[("", 1.0)]);
    assert_pieces("([a)b]", &[("a", 1.0), ("b", 1.0 / 1.1)]);
}

#[test]
fn a_break_stands_alone_in_any_bracket() {
    assert_pieces("a BREAK b", &[("a", 1.0), ("BREAK", -1.0), ("b", 1.0)]);
    assert_pieces("BREAKFAST outBREAK", &[("BREAKFAST outBREAK", 1.0)]);
    assert_pieces("(a BREAK b:1.2)", &[("a", 1.2), ("BREAK", -1.0), ("b", 1.2)]);
}

/// The examples in the documentation of the web UI's own parser, over ten steps.
#[test]
fn edits_are_what_the_web_ui_documents() {
    let cases: &[(&str, &[(usize, &str)])] = &[
        ("test", &[(10, "test")]),
        ("a [b:3]", &[(3, "a "), (10, "a b")]),
        ("a [b: 3]", &[(3, "a "), (10, "a b")]),
        ("a [[[b]]:2]", &[(2, "a "), (10, "a [[b]]")]),
        ("[(a:2):3]", &[(3, ""), (10, "(a:2)")]),
        ("a [b : c : 1] d", &[(1, "a b  d"), (10, "a  c  d")]),
        ("a[b:[c:d:2]:1]e", &[(1, "abe"), (2, "ace"), (10, "ade")]),
        ("a [unbalanced", &[(10, "a [unbalanced")]),
        ("a [b:.5] c", &[(5, "a  c"), (10, "a b c")]),
        ("a [{b|d{:.5] c", &[(5, "a  c"), (10, "a {b|d{ c")]),
        ("((a][:b:c [d:3]", &[(3, "((a][:b:c "), (10, "((a][:b:c d")]),
    ];
    for (text, expected) in cases {
        let expected: Vec<_> = expected.iter().map(|(step, said)| (*step, (*said).to_owned())).collect();
        assert_eq!(schedule(text, Pass::first(10)), expected, "{text}");
    }
    let said = |text| (1..=6).map(|step| Editing::parse(text).at(step, Pass::first(10))).collect::<Vec<_>>();
    assert_eq!(said("[a|(b:1.1)]"), ["a", "(b:1.1)", "a", "(b:1.1)", "a", "(b:1.1)"]);
    assert_eq!(said("[fe|]male"), ["female", "male", "female", "male", "female", "male"]);
    assert_eq!(said("[fe|||]male"), ["female", "male", "male", "male", "female", "male"]);
}

/// The example in the web UI's list of features, over a hundred steps.
#[test]
fn an_edited_landscape_changes_when_its_documentation_says() {
    let text = "fantasy landscape with a [mountain:lake:0.25] and [an oak:a christmas tree:0.75][ in foreground::0.6][ in \
                background:0.25] [shoddy:masterful:0.5]";
    let expected = [
        (25, "fantasy landscape with a mountain and an oak in foreground shoddy"),
        (50, "fantasy landscape with a lake and an oak in foreground in background shoddy"),
        (60, "fantasy landscape with a lake and an oak in foreground in background masterful"),
        (75, "fantasy landscape with a lake and an oak in background masterful"),
        (100, "fantasy landscape with a lake and a christmas tree in background masterful"),
    ];
    assert_eq!(schedule(text, Pass::first(100)), expected.map(|(step, said)| (step, said.to_owned())));
}

#[test]
fn a_second_pass_counts_on() {
    let second = Pass { steps: 10, after: Some(10) };
    assert_eq!(schedule("a [b:.5] c", second), [(10, "a b c".to_owned())]);
    assert_eq!(schedule("a [b:1.5] c", second), [(5, "a  c".to_owned()), (10, "a b c".to_owned())]);
    assert_eq!(schedule("a [b:13] c", second), [(3, "a  c".to_owned()), (10, "a b c".to_owned())]);
}

#[test]
fn what_is_no_edit_is_text() {
    for text in ["[a:b:c:3]", "[a:b|c]", "[a]", "[a:b]", "a|b", "(a|b:3)", "[a:inf]", r"\[a|b\]", r"[a\:3]", "[a:1(2)]"]
    {
        assert_eq!(schedule(text, Pass::first(4)), [(4, text.to_owned())], "{text}");
        assert!(Editing::parse(text).is_constant(), "{text}");
    }
    assert_eq!(schedule("[a:-3][b:99999999999]", Pass::first(4)), [(4, "a".to_owned())]);
    assert_eq!(schedule(r"[\]:x:2]", Pass::first(4)), [(2, r"\]".to_owned()), (4, "x".to_owned())]);
}

#[test]
fn prompts_are_joined_by_a_lonely_and() {
    let parsed = |text| {
        let prompt = Prompt::parse(text).unwrap();
        prompt.parts.iter().map(|part| (part.editing.at(1, Pass::first(1)), part.weight)).collect::<Vec<_>>()
    };
    let owned =
        |parts: &[(&str, f64)]| parts.iter().map(|(text, weight)| ((*text).to_owned(), *weight)).collect::<Vec<_>>();
    assert_eq!(parsed("a cat AND a dog"), owned(&[("a cat ", 1.0), (" a dog", 1.0)]));
    assert_eq!(parsed("a cat :1.2 AND a dog:-.5 "), owned(&[("a cat", 1.2), (" a dog", -0.5)]));
    assert_eq!(parsed("(a:1.2) AND b: 2."), owned(&[("(a:1.2) ", 1.0), (" b", 2.0)]));
    assert_eq!(parsed("SAND and ANDROID and_AND"), owned(&[("SAND and ANDROID and_AND", 1.0)]));
    assert_eq!(parsed("at 12:30"), owned(&[("at 12:30", 1.0)]));
    let many = vec!["a"; 17].join(" AND ");
    assert_eq!(Prompt::parse(&many), Err(PromptError::Parts { found: 17, most: 16 }));
    assert_eq!(Prompt::parse_negative(&many).unwrap().parts.len(), 1);
    let long = "a".repeat(MAX_CHARS + 1);
    assert!(Prompt::parse(&long).unwrap_err().to_string().contains("100001 characters"));
}

#[test]
fn networks_are_taken_out_of_the_text() {
    let network =
        |name: &str, text_weight, unet_weight| ExtraNetwork { name: name.to_owned(), unet_weight, text_weight };
    let taken = |text| take_networks(text).unwrap();
    assert_eq!(taken("a <lora:x:0.8> b"), ("a  b".to_owned(), vec![network("x", 0.8, 0.8)]));
    assert_eq!(taken("<lora:x>"), (String::new(), vec![network("x", 1.0, 1.0)]));
    assert_eq!(
        taken("<lora:x:0.8:0.6><lyco:y y:te=.5:unet=2>"),
        (String::new(), vec![network("x", 0.8, 0.6), network("y y", 0.5, 2.0)])
    );
    for text in ["a < b", "<3", "<lora:x", "<lora x>", "<b:c>", "<lora:>", "<", "<embedding:x:1>"] {
        assert_eq!(taken(text), (text.to_owned(), Vec::new()));
    }
    assert_eq!(taken("<<lora:x:1>"), ("<".to_owned(), vec![network("x", 1.0, 1.0)]));
    let error = take_networks("<lora:x:much>").unwrap_err().to_string();
    assert!(error.contains("`<lora:x:much>`") && error.contains("`much`"), "{error}");
    assert!(take_networks("<hypernet:x:1>").unwrap_err().to_string().contains("hypernetwork"));
}

#[test]
fn styles_are_read_from_a_table_and_from_a_list() {
    let csv = "\u{feff}name,prompt,negative_prompt\r\nPhoto,\"photo of {prompt}, \"\"sharp\"\",\n35mm\",blurry\nOil,oil painting,\n\
               None,,\n";
    let styles = Styles::parse(csv).unwrap();
    let applied = |name: &str| styles.get(name).unwrap().apply("a cat", "ugly");
    assert_eq!(applied("Photo"), ("photo of a cat, \"sharp\",\n35mm".to_owned(), "ugly, blurry".to_owned()));
    assert_eq!(applied("Oil"), ("a cat, oil painting".to_owned(), "ugly".to_owned()));
    assert_eq!(applied("None"), ("a cat".to_owned(), "ugly".to_owned()));
    let unknown = styles.get("Ink").unwrap_err().to_string();
    assert_eq!(unknown, "there is no style `Ink`; there are Photo, Oil, None");

    let json = r#"[{"name":"A","prefix":"ink of","suffix":"on paper","negative":"photo"},
                   {"name":"B","prompt":"3d {prompt}","negative_prompt":"flat {prompt}"}]"#;
    let styles = Styles::parse(json).unwrap();
    assert_eq!(styles.all()[0].apply("a cat", ""), ("ink of, a cat, on paper".to_owned(), "photo".to_owned()));
    assert_eq!(styles.all()[1].apply("a cat", "x"), ("3d a cat".to_owned(), "flat x".to_owned()));

    assert!(Styles::parse("").unwrap_err().to_string().contains("name the columns"));
    assert!(Styles::parse("name,prompt\nx,\"y").unwrap_err().to_string().contains("line 2"));
    assert!(Styles::parse("[1]").unwrap_err().to_string().contains("JSON list"));
}

/// Prompts that once went wrong somewhere, or might.
const CORPUS: &[&str] = &[
    "",
    "\\",
    "\\\\",
    ":",
    "|",
    "[",
    "]",
    "(",
    ")",
    "[:",
    "[|",
    "[|]",
    "[:]",
    "[::]",
    "[:::]",
    "[:0]",
    "[:.]",
    "[:1e999]",
    "[:-0.0]",
    "()",
    "(:1)",
    "(:)",
    "(:.)",
    "(:1",
    ":1)",
    "(a:1)(b:2",
    "[(])",
    "([)]",
    "[a|[b|[c|d]]]",
    "[[a:1]|b:2]",
    "BREAK",
    "BREAK BREAK",
    "AND",
    "AND AND",
    "a:1 AND",
    "AND :2",
    "a AND b:",
    "<lora:a:1",
    "<lora::>",
    "<lora:a:>",
    "<hypernet:",
    "日[本|語:0.5]🎨(é:1.1)",
    "\\é(\\🎨)",
    "[a:\u{a0}3\u{3000}]",
    "(a:\u{3000}1.5\u{a0})",
    "İ BREAK ß",
    "[fe|]male [[x::2]:1]",
    "\u{0}",
    "(((((((((((((((((((((((((((",
];

fn survives(text: &str) {
    let parsed = [Prompt::parse(text), Prompt::parse_negative(text)];
    for prompt in parsed.into_iter().flatten() {
        for part in &prompt.parts {
            assert!(part.weight.is_finite());
            for step in [0, 1, 2, 20] {
                let said = part.editing.at(step, Pass::first(20));
                assert!(said.len() <= text.len());
                let pieces = pieces(&said);
                assert!(texts(&pieces).iter().all(|(_, weight)| weight.is_finite()));
            }
        }
    }
    Styles::parse(text).ok();
}

#[test]
fn every_prompt_of_the_corpus_is_read() {
    for text in CORPUS {
        survives(text);
    }
}

#[test]
fn hostile_prompts_end_soon() {
    for unit in [
        "(", "[", "[a|", "[a:", "[[", "(]", "[(", "a:1 ", "<lora:", "<", "BREAK", "AND ", "[::1]", "\\(", "(a:1.1",
        ": ",
    ] {
        survives(&unit.repeat(100_000 / unit.len()));
    }
    for (open, close) in [("[", ":1]"), ("[a|", "]"), ("(", ":1.1)"), ("[:", ":1]"), ("([", "])"), ("[x:", "]")] {
        let depth = 50_000 / (open.len() + close.len());
        survives(&format!("{}x{}", open.repeat(depth), close.repeat(depth)));
    }
}

proptest! {
    #[test]
    fn any_text_is_read(text in "\\PC*") {
        survives(&text);
    }

    #[test]
    fn any_text_of_signs_is_read(text in "([\\[\\]():|\\\\<> .0-9a-cé]|BREAK|AND|lora){0,60}") {
        survives(&text);
    }

    #[test]
    fn a_text_without_signs_is_one_piece(text in "[a-zA-Z0-9 ,.!?'é日-]{0,80}") {
        prop_assume!(!text.contains("BREAK") && !text.contains("AND"));
        let prompt = Prompt::parse(&text).unwrap();
        prop_assert_eq!(prompt.parts.len(), 1);
        prop_assert_eq!(prompt.parts[0].editing.at(1, Pass::first(20)), text.clone());
        prop_assert_eq!(pieces(&text), vec![Piece::Text { text, weight: 1.0 }]);
    }

    #[test]
    fn brackets_in_pairs_only_weigh(depth in 0_i32..30) {
        let text = format!("{}x{}", "(".repeat(depth as usize), ")".repeat(depth as usize));
        let found = pieces(&text);
        let expected = 1.1_f64.powi(depth);
        prop_assert!((texts(&found)[0].1 - expected).abs() < 1e-9 * expected);
    }
}
