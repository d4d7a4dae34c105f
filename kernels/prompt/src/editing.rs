//! Prompts that change from step to step: `[from:to:when]` and `[a|b]`.

use std::ops::Range;

/// Edits within edits beyond this are text.
const MAX_DEPTH: usize = 32;

/// The steps of a run that a prompt is edited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pass {
    /// Steps that the user asked for.
    pub steps: usize,
    /// Steps of the pass before, where this is the second one of a larger picture: whole numbers count on from them, and fractions
    /// from 1.
    pub after: Option<usize>,
}

impl Pass {
    /// The first pass, or the only one.
    pub const fn first(steps: usize) -> Self {
        Self { steps, after: None }
    }
}

/// When an edit happens.
#[derive(Debug, Clone, Copy, PartialEq)]
enum When {
    /// A number without a point: after this many steps.
    Step(f64),
    /// A number with a point: after this share of the steps.
    Share(f64),
}

impl When {
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let is_number = text.chars().all(|c| matches!(c, '0'..='9' | '+' | '-' | '.' | 'e' | 'E'));
        let number = text.parse().ok().filter(|number: &f64| is_number && number.is_finite())?;
        Some(if text.contains('.') { Self::Share(number) } else { Self::Step(number) })
    }

    /// The last step before the edit, counted from 1.
    fn last(self, pass: Pass) -> f64 {
        let last = match self {
            Self::Step(step) => step - pass.after.unwrap_or(0) as f64,
            Self::Share(share) => (share - f64::from(u8::from(pass.after.is_some()))) * pass.steps as f64,
        };
        last.trunc()
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Node {
    Text(String),
    Switch { before: Vec<Node>, after: Vec<Node>, when: When },
    Alternate(Vec<Vec<Node>>),
}

/// A prompt with everything that it says over a run.
///
/// Steps count from 1 as the web UI's documentation has it: `[a:b:3]` says `a` in the first three, `[a|b]` says `a` in the first,
/// `b` in the second and so on. (The web UI itself looks up step 0 first, so that its first edit comes one step late.)
#[derive(Debug, Clone, PartialEq)]
pub struct Editing {
    nodes: Vec<Node>,
}

impl Editing {
    /// A text that never changes.
    pub fn plain(text: &str) -> Self {
        Self { nodes: vec![Node::Text(text.to_owned())] }
    }

    /// Finds the edits of a text; every bracket that is none stays where it is.
    pub fn parse(text: &str) -> Self {
        let mut reader = Reader { text, items: Vec::new(), open: Vec::new() };
        reader.read();
        let Reader { items, .. } = reader;
        Self { nodes: nodes(text, items) }
    }

    /// Whether it says the same at every step.
    pub fn is_constant(&self) -> bool {
        self.nodes.iter().all(|node| matches!(node, Node::Text(_)))
    }

    /// What it says at a step, counted from 1.
    pub fn at(&self, step: usize, pass: Pass) -> String {
        let mut said = String::new();
        say(&self.nodes, step.max(1), pass, &mut said);
        said
    }
}

/// No deeper than [`MAX_DEPTH`].
fn say(nodes: &[Node], step: usize, pass: Pass, said: &mut String) {
    for node in nodes {
        match node {
            Node::Text(text) => said.push_str(text),
            Node::Switch { before, after, when } => {
                let chosen = if step as f64 <= when.last(pass) { before } else { after };
                say(chosen, step, pass, said);
            }
            Node::Alternate(options) => say(&options[(step - 1) % options.len()], step, pass, said),
        }
    }
}

/// What was read so far of a text.
#[derive(Debug)]
enum Item {
    /// A part of the text.
    Text(Range<usize>),
    /// An edit.
    Node(Node),
}

/// A bracket that is not closed yet.
#[derive(Debug)]
struct Open {
    bracket: char,
    /// The item that it is.
    item: usize,
    /// The items that are colons and bars directly inside it, with their places in the text.
    separators: Vec<(usize, usize, char)>,
    /// The deepest edit inside it.
    depth: usize,
}

struct Reader<'a> {
    text: &'a str,
    items: Vec<Item>,
    open: Vec<Open>,
}

impl Reader<'_> {
    fn read(&mut self) {
        let mut at = 0;
        while let Some(first) = self.text[at..].chars().next() {
            let rest = &self.text[at..];
            let mut length = first.len_utf8();
            let item = self.items.len();
            match first {
                '\\' => length += rest[1..].chars().next().map_or(0, char::len_utf8),
                '(' | '[' => self.open.push(Open { bracket: first, item, separators: Vec::new(), depth: 0 }),
                ':' | '|' => {
                    if let Some(open) = self.open.last_mut() {
                        open.separators.push((item, at, first));
                    }
                }
                ')' | ']' => {}
                _ => length = rest.find(['\\', '(', ')', '[', ']', ':', '|']).unwrap_or(rest.len()),
            }
            self.items.push(Item::Text(at..at + length));
            if matches!(first, ')' | ']') {
                self.close(first, at);
            }
            at += length;
        }
    }

    /// A closing bracket, which is the last item already.
    fn close(&mut self, bracket: char, at: usize) {
        let opening = if bracket == ')' { '(' } else { '[' };
        let Some(open) = self.open.pop_if(|open| open.bracket == opening) else {
            // Whatever is open here can never be closed in order.
            self.open.clear();
            return;
        };
        let mut depth = open.depth;
        if bracket == ']' && depth < MAX_DEPTH && self.edit(&open, at).is_some() {
            depth += 1;
        }
        if let Some(outer) = self.open.last_mut() {
            outer.depth = outer.depth.max(depth);
        }
    }

    /// Replaces the items of a pair of brackets by the edit that they are, if they are one.
    fn edit(&mut self, open: &Open, close: usize) -> Option<()> {
        let separators = &open.separators;
        let colons: Vec<_> = separators.iter().filter(|(.., sign)| *sign == ':').collect();
        let node = if let Some(&&(last, at, _)) = colons.last() {
            let when = When::parse(&self.text[at + 1..close])?;
            let first = match colons[..] {
                [_] => open.item,
                [&(first, ..), _] => first,
                _ => return None,
            };
            self.items.truncate(last);
            let after = nodes(self.text, self.items.drain(first + 1..));
            self.items.truncate(first);
            let before = nodes(self.text, self.items.drain((open.item + 1).min(first)..));
            Node::Switch { before, after, when }
        } else if let Some(&(first, ..)) = separators.first() {
            self.items.pop();
            let mut options: Vec<_> = separators
                .iter()
                .rev()
                .map(|&(bar, ..)| {
                    let option = nodes(self.text, self.items.drain(bar + 1..));
                    self.items.pop();
                    option
                })
                .collect();
            options.push(nodes(self.text, self.items.drain(open.item + 1..first)));
            options.reverse();
            Node::Alternate(options)
        } else {
            return None;
        };
        self.items.truncate(open.item);
        self.items.push(Item::Node(node));
        Some(())
    }
}

/// Neighbouring texts become one.
fn nodes(text: &str, items: impl IntoIterator<Item = Item>) -> Vec<Node> {
    let mut nodes = Vec::new();
    for item in items {
        match (item, nodes.last_mut()) {
            (Item::Text(range), Some(Node::Text(before))) => before.push_str(&text[range]),
            (Item::Text(range), _) => nodes.push(Node::Text(text[range].to_owned())),
            (Item::Node(node), _) => nodes.push(node),
        }
    }
    nodes
}
