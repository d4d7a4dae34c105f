//! Every picture that can be drawn, and which are kept from training.

use super::{COLOURS, OBJECTS, Position, Scale};

/// What is in a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Item {
    /// Index into [`OBJECTS`].
    pub object: usize,
    /// Index into [`COLOURS`].
    pub colour: usize,
    /// How large.
    pub scale: Scale,
    /// Where.
    pub position: Position,
}

/// Whether an object on a background is never trained on: one pair in ten, spread over both.
pub const fn is_held_out(object: usize, colour: usize) -> bool {
    (object * 7 + colour * 3) % 10 == 3
}

/// All pictures of one side of the split.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// What is in each.
    pub items: Vec<Item>,
}

impl Dataset {
    /// What may be trained on.
    pub fn training() -> Self {
        let items = (0..OBJECTS.len())
            .flat_map(|object| (0..COLOURS.len()).map(move |colour| (object, colour)))
            .filter(|&(object, colour)| !is_held_out(object, colour))
            .flat_map(|(object, colour)| {
                Scale::ALL.into_iter().flat_map(move |scale| {
                    Position::ALL.into_iter().map(move |position| Item { object, colour, scale, position })
                })
            })
            .collect();
        Self { items }
    }

    /// The pairs that are not trained on.
    pub fn held_out_pairs() -> Vec<(usize, usize)> {
        (0..OBJECTS.len())
            .flat_map(|object| (0..COLOURS.len()).map(move |colour| (object, colour)))
            .filter(|&(object, colour)| is_held_out(object, colour))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_pair_in_ten_is_held_out_and_none_of_them_is_trained_on() {
        let held_out = Dataset::held_out_pairs();
        let pairs = OBJECTS.len() * COLOURS.len();
        assert!(held_out.len().abs_diff(pairs / 10) <= 1, "{}", held_out.len());
        let training = Dataset::training();
        assert_eq!(training.items.len(), (pairs - held_out.len()) * 10);
        assert!(training.items.iter().all(|item| !held_out.contains(&(item.object, item.colour))));
        for object in 0..OBJECTS.len() {
            let missing = held_out.iter().filter(|pair| pair.0 == object).count();
            assert!(missing <= 2, "object {object} lacks {missing} colours");
        }
    }
}
