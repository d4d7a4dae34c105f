//! What is said of a picture.

use super::{COLOURS, Item, OBJECTS, Position, Scale};
use crate::random::Random;
use std::collections::BTreeSet;

fn article(next: &str) -> &'static str {
    if next.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" }
}

const fn scale_words(scale: Scale) -> &'static [&'static str] {
    match scale {
        Scale::Small => &["small", "little"],
        Scale::Large => &["large", "big"],
    }
}

const fn position_words(position: Position) -> &'static [&'static str] {
    match position {
        Position::Centre => &["in the middle", "in the center"],
        Position::Left => &["on the left"],
        Position::Right => &["on the right"],
        Position::Top => &["at the top"],
        Position::Bottom => &["at the bottom"],
    }
}

/// A caption in one of several wordings; size and place are told half of the time, so that a prompt may leave them out.
///
/// Now and then it tells the object or the background alone: each is then learned apart from the other, which helps with pairs
/// that were never seen.
pub(crate) fn random_caption(item: Item, random: &mut Random) -> String {
    let object = OBJECTS[item.object];
    let colour = COLOURS[item.colour].name;
    let name = if random.unit() < 0.5 { object.name } else { object.other_name };
    let thing =
        if random.unit() < 0.5 { format!("{} {name}", random.pick(scale_words(item.scale))) } else { name.to_owned() };
    let thing = format!("{} {thing}", article(&thing));
    let place = if random.unit() < 0.5 { Some(*random.pick(position_words(item.position))) } else { None };
    let sentence = match random.index(8) {
        0 => format!("{thing} on {colour}"),
        1 => format!("a picture of {thing} on a {colour} background"),
        2 => {
            let thing = place.map_or_else(|| thing.clone(), |place| format!("{thing} {place}"));
            return format!("{} {colour} background with {thing}", article(colour));
        }
        3 => thing,
        4 if random.unit() < 0.5 => return format!("{} {colour} background", article(colour)),
        _ => format!("{thing} on {} {colour} background", article(colour)),
    };
    match place {
        Some(place) => format!("{sentence}, {place}"),
        None => sentence,
    }
}

/// The plain caption of an object on a background.
pub fn caption(object: usize, colour: usize) -> String {
    let (name, colour) = (OBJECTS[object].name, COLOURS[colour].name);
    format!("{} {name} on {} {colour} background", article(name), article(colour))
}

/// Every word that a caption can have, sorted.
pub fn known_words() -> Vec<String> {
    let grammar = "a an picture of on background with".split(' ');
    let objects = OBJECTS.iter().flat_map(|object| object.name.split(' ').chain(object.other_name.split(' ')));
    let colours = COLOURS.iter().map(|colour| colour.name);
    let scales = Scale::ALL.into_iter().flat_map(scale_words).copied();
    let places = Position::ALL.into_iter().flat_map(position_words).flat_map(|words| words.split(' '));
    let all: BTreeSet<&str> = grammar.chain(objects).chain(colours).chain(scales).chain(places).collect();
    all.into_iter().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_caption_is_made_of_known_words() {
        let known = known_words();
        for step in 0..2000 {
            let mut random = Random::new(9, step);
            let item = Item {
                object: random.index(OBJECTS.len()),
                colour: random.index(COLOURS.len()),
                scale: *random.pick(&Scale::ALL),
                position: *random.pick(&Position::ALL),
            };
            let caption = random_caption(item, &mut random);
            for word in caption.split([' ', ',']).filter(|word| !word.is_empty()) {
                assert!(known.iter().any(|known| known == word), "{word} in {caption}");
            }
        }
        assert_eq!(caption(0, 4), "an apple on a blue background");
    }
}
