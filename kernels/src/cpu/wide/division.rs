//! How a product is divided among threads.

use super::tile::COLUMNS;
use std::ops::Range;

/// Up to 32 neighbours of a picture: pixels, tokens or queries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Panel {
    /// Which picture.
    pub picture: usize,
    /// The first of them.
    pub first: usize,
    /// How many there are.
    pub count: usize,
}

/// The panels of some pictures of so many pixels each.
pub fn panels(pictures: usize, count: usize) -> Vec<Panel> {
    let of_picture = |picture| {
        let panel = move |first| Panel { picture, first, count: COLUMNS.min(count - first) };
        (0..count).step_by(COLUMNS).map(panel)
    };
    (0..pictures).flat_map(of_picture).collect()
}

/// What one thread computes before it asks for more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part<'a> {
    /// Of one picture.
    pub panels: &'a [Panel],
    /// Tiles of the matrix.
    pub tiles: Range<usize>,
}

/// Parts of up to `at_once` panels each, and of all tiles or, where there are too few panels for `threads`, of some.
pub fn parts(panels: &[Panel], tiles: usize, at_once: usize, threads: usize) -> Vec<Part<'_>> {
    let wanted = if threads > 1 { 2 * threads } else { 1 };
    // Fewer panels at once before fewer tiles, since every part unfolds its panels for itself; but not so few that the matrix is
    // read again for each.
    let at_once = at_once.min(panels.len().div_ceil(wanted)).max(at_once.min(4));
    let groups: Vec<&[Panel]> =
        panels.chunk_by(|a, b| a.picture == b.picture).flat_map(|panels| panels.chunks(at_once)).collect();
    let splits = wanted.div_ceil(groups.len().max(1)).min(tiles).max(1);
    let each = tiles.div_ceil(splits).max(1);
    groups
        .into_iter()
        .flat_map(|panels| {
            (0..tiles).step_by(each).map(move |first| Part { panels, tiles: first..tiles.min(first + each) })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_panel_meets_every_tile_once() {
        for (pictures, pixels, tiles, threads) in
            [(1, 64, 160, 2), (2, 4_096, 40, 2), (1, 1, 3, 16), (3, 33, 1, 4), (2, 256, 7, 1)]
        {
            let panels = panels(pictures, pixels);
            let parts = parts(&panels, tiles, 12, threads);
            let mut seen: Vec<(usize, usize, usize)> = parts
                .iter()
                .flat_map(|part| {
                    let tiles = part.tiles.clone();
                    part.panels
                        .iter()
                        .flat_map(move |panel| tiles.clone().map(|tile| (panel.picture, panel.first, tile)))
                })
                .collect();
            assert_eq!(seen.len(), panels.len() * tiles);
            seen.sort_unstable();
            seen.dedup();
            assert_eq!(seen.len(), panels.len() * tiles);
            assert!(parts.iter().all(|part| part.panels.len() <= 12));
        }
    }
}
