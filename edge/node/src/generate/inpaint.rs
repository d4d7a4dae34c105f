//! `--mask`, `--outpaint-left` and what belongs to them.

use super::recipe::{Recipe, file_pairs};
use crate::init_image;
use anyhow::{Context as _, Result, bail, ensure};
use burn::tensor::Device;
use clap::{Args, ValueEnum};
use diffusion::{
    inpaint::{Mask, Outpaint, Region, fill, outpaint},
    picture::Picture,
    pipeline::{InitImage, Inpaint, MaskCells, MaskedContent},
    resample::Filter,
};
use image::{DynamicImage, imageops::FilterType};
use spec::ImageSize;
use std::path::{Path, PathBuf};

/// Which part of the initial picture is repainted, and how.
#[derive(Debug, Args)]
pub struct InpaintArgs {
    /// Mask of the initial picture, white where it is repainted, as large as the picture
    #[arg(long, value_name = "FILE")]
    mask: Option<PathBuf>,
    /// Repaint where the mask is black
    #[arg(long)]
    invert_mask: bool,
    /// Deviation in pixels of the blur that softens the mask, 0 to 64 [default: 0]
    #[arg(long, value_parser = blur, allow_negative_numbers = true)]
    mask_blur: Option<f64>,
    /// What the masked part holds at the beginning [default: original]
    #[arg(long, value_enum)]
    masked_content: Option<Content>,
    /// Which latents belong to the mask: with any masked pixel, or (as diffusers has it) with a masked corner [default: any]
    #[arg(long, value_enum)]
    mask_cells: Option<Cells>,
    /// Draw the masked part alone, at the size that is asked, and put it back into the picture
    #[arg(long)]
    only_masked: bool,
    /// Pixels around the masked part that are drawn with it [default: 32]
    #[arg(long, value_name = "PIXELS")]
    only_masked_padding: Option<u32>,
    /// Pixels to add at the left of the initial picture
    #[arg(long, value_name = "PIXELS", value_parser = clap::value_parser!(u32).range(0..=2048), conflicts_with_all = ["mask", "width", "height"])]
    outpaint_left: Option<u32>,
    /// Pixels to add at its right
    #[arg(long, value_name = "PIXELS", value_parser = clap::value_parser!(u32).range(0..=2048), conflicts_with_all = ["mask", "width", "height"])]
    outpaint_right: Option<u32>,
    /// Pixels to add above it
    #[arg(long, value_name = "PIXELS", value_parser = clap::value_parser!(u32).range(0..=2048), conflicts_with_all = ["mask", "width", "height"])]
    outpaint_top: Option<u32>,
    /// Pixels to add below it
    #[arg(long, value_name = "PIXELS", value_parser = clap::value_parser!(u32).range(0..=2048), conflicts_with_all = ["mask", "width", "height"])]
    outpaint_bottom: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Content {
    /// What the picture has there
    Original,
    /// Colours of its surroundings
    Fill,
    /// Noise
    Noise,
    /// Nothing
    Nothing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Cells {
    Any,
    Corner,
}

fn blur(text: &str) -> Result<f64> {
    let blur: f64 = text.parse().with_context(|| format!("`{text}` is not a number"))?;
    if !(0.0..=64.0).contains(&blur) {
        bail!("the mask's blur is {blur}, but must be between 0 and 64");
    }
    Ok(blur)
}

/// A picture to start from, with what is repainted of it.
pub struct Prepared {
    /// The size of the run.
    pub size: ImageSize,
    /// The picture in it.
    pub picture: Picture,
    mask: Mask,
    inpaint: Inpaint,
    /// The whole picture, its mask, and the part that the run draws.
    part: Option<(Picture, Mask, Region)>,
}

const MASK: &str = "Mask image";
const BLUR: &str = "Mask blur";
const CONTENT: &str = "Masked content";
const MODE: (&str, &str) = ("Mask mode", "Inpaint not masked");
const AREA: (&str, &str) = ("Inpaint area", "Only masked");
const PADDING: &str = "Masked area padding";
/// Our own.
const CELLS: (&str, &str) = ("Mask cells", "corner");
const OUTPAINT: &str = "Outpaint";

/// Web UIs' words for what a masked part holds.
const CONTENTS: [(Content, &str); 4] = [
    (Content::Original, "original"),
    (Content::Fill, "fill"),
    (Content::Noise, "latent noise"),
    (Content::Nothing, "latent nothing"),
];

impl InpaintArgs {
    /// Fills what no flag said by what a picture says, where something of it was repainted.
    pub fn restore(&mut self, recipe: &Recipe) -> Result<()> {
        let is_told = self.mask.is_some() || !self.outpaint().is_empty();
        if !is_told && recipe.look(MASK).is_none() && recipe.look(OUTPAINT).is_none() {
            return Ok(());
        }
        if self.outpaint().is_empty() {
            recipe.file(&mut self.mask, MASK, "Mask image SHA-256", "--mask")?;
        }
        if let (None, Some(sides)) = (&self.mask, recipe.take(OUTPAINT)) {
            self.restore_sides(&sides)
                .with_context(|| format!("the picture says `{OUTPAINT}: {sides}`, which cannot be read"))?;
        }
        recipe.switch(&mut self.invert_mask, MODE);
        recipe.restore(&mut self.mask_blur, BLUR, blur)?;
        recipe.restore(&mut self.masked_content, CONTENT, |said| {
            let found = CONTENTS.iter().find(|(_, label)| *label == said);
            found.map(|(content, _)| *content).context("no such content is known")
        })?;
        recipe.switch(&mut self.only_masked, AREA);
        recipe.restore(&mut self.only_masked_padding, PADDING, |text| Ok(text.parse()?))?;
        if recipe.take(CELLS.0).as_deref() == Some(CELLS.1) {
            self.mask_cells.get_or_insert(Cells::Corner);
        }
        Ok(())
    }

    fn restore_sides(&mut self, text: &str) -> Result<()> {
        let sides: Vec<u32> = text.split(',').map(|side| Ok(side.trim().parse()?)).collect::<Result<_>>()?;
        let Ok([left, right, top, bottom]) = <[u32; 4]>::try_from(sides) else { bail!("there must be four numbers") };
        ensure!([left, right, top, bottom].iter().all(|side| *side <= 2048), "no side grows by more than 2048 pixels");
        let places = [
            (&mut self.outpaint_left, left),
            (&mut self.outpaint_right, right),
            (&mut self.outpaint_top, top),
            (&mut self.outpaint_bottom, bottom),
        ];
        for (place, side) in places {
            place.get_or_insert(side);
        }
        Ok(())
    }

    /// Refuses what has nothing to hold on to.
    pub fn check(&self, has_init: bool) -> Result<()> {
        ensure!(
            has_init || (self.mask.is_none() && self.outpaint().is_empty()),
            "--mask and --outpaint-… repaint a part of a picture; give that with --init-image"
        );
        ensure!(
            self.mask.is_some() || !(self.invert_mask || self.only_masked),
            "--invert-mask and --only-masked need --mask"
        );
        Ok(())
    }

    /// Whether a part is repainted.
    pub fn is_on(&self) -> bool {
        self.mask.is_some() || !self.outpaint().is_empty()
    }

    fn blur(&self) -> f64 {
        self.mask_blur.unwrap_or(0.0)
    }

    fn content(&self) -> Content {
        self.masked_content.unwrap_or(Content::Original)
    }

    fn padding(&self) -> u32 {
        self.only_masked_padding.unwrap_or(32)
    }

    /// What becomes of the picture in `path` before a run; `None` where all of it may change. `size` is what was asked for, of
    /// which a part may be missing, and `usual` the model's own.
    pub fn prepare(
        &self,
        path: &Path,
        [width, height]: [Option<u32>; 2],
        usual: (u32, u32),
    ) -> Result<Option<Prepared>> {
        let asked = || ImageSize::new(width.unwrap_or(usual.0), height.unwrap_or(usual.1));
        let sides = self.outpaint();
        let (picture, mask) = match &self.mask {
            None if sides.is_empty() => return Ok(None),
            None => larger(path, &sides)?,
            Some(mask) => self.picture_and_mask(path, mask)?,
        };
        let (mask, is_own_size) = (mask.blurred(self.blur()), width.is_none() && height.is_none());
        if self.only_masked {
            let size = asked()?;
            return self.part(picture, mask, size).map(Some);
        }
        let size = if is_own_size {
            ImageSize::new(picture.width, picture.height)
                .context("the picture's own size cannot be drawn; give --width and --height, or --only-masked")?
        } else {
            asked()?
        };
        let (picture, mask) = (fitted(&picture, size), mask.resized(size.width(), size.height()));
        Ok(Some(self.prepared(size, &picture, mask, None)))
    }

    /// What web UIs write of a mask, and what it takes to have it again.
    pub fn infotext(&self) -> Result<Vec<String>> {
        if !self.is_on() {
            return Ok(Vec::new());
        }
        let mut pairs = vec![format!("{BLUR}: {}", self.blur())];
        let content = CONTENTS.iter().find(|(content, _)| *content == self.content() && *content != Content::Original);
        pairs.extend(content.map(|(_, label)| format!("{CONTENT}: {label}")));
        pairs.extend(self.invert_mask.then(|| format!("{}: {}", MODE.0, MODE.1)));
        if self.only_masked {
            pairs.push(format!("{}: {}", AREA.0, AREA.1));
            pairs.push(format!("{PADDING}: {}", self.padding()));
        }
        pairs.extend((self.mask_cells == Some(Cells::Corner)).then(|| format!("{}: {}", CELLS.0, CELLS.1)));
        if let Some(mask) = &self.mask {
            pairs.extend(file_pairs(MASK, mask)?);
        } else {
            let Outpaint { left, right, top, bottom, .. } = self.outpaint();
            pairs.push(format!("{OUTPAINT}: \"{left}, {right}, {top}, {bottom}\""));
        }
        Ok(pairs)
    }

    fn outpaint(&self) -> Outpaint {
        let [left, right] = [self.outpaint_left, self.outpaint_right].map(Option::unwrap_or_default);
        let [top, bottom] = [self.outpaint_top, self.outpaint_bottom].map(Option::unwrap_or_default);
        // As far as the blur reaches into the old picture, and as far again.
        Outpaint { left, right, top, bottom, overlap: (self.blur() * 2.0) as u32 }
    }

    fn picture_and_mask(&self, path: &Path, mask: &Path) -> Result<(Picture, Mask)> {
        let picture = init_image::picture(init_image::decode(path)?.into_rgb8());
        let shown = mask.display();
        let mask = Mask::from_picture(&init_image::picture(init_image::decode(mask)?.into_rgb8()));
        if (mask.width, mask.height) != (picture.width, picture.height) {
            bail!(
                "the mask {shown} is {} x {}, but the picture is {} x {}; they must be of one size",
                mask.width,
                mask.height,
                picture.width,
                picture.height
            );
        }
        Ok((picture, if self.invert_mask { mask.inverted() } else { mask }))
    }

    fn part(&self, picture: Picture, mask: Mask, size: ImageSize) -> Result<Prepared> {
        let target = [size.width(), size.height()];
        let region = Region::around(&mask, self.padding(), target).context(
            "the mask is black everywhere, so that nothing would be repainted; perhaps it wants --invert-mask",
        )?;
        let (part, its_mask) = (fitted(&region.of(&picture), size), mask.cut(region).resized(target[0], target[1]));
        Ok(self.prepared(size, &part, its_mask, Some((picture, mask, region))))
    }

    fn prepared(
        &self,
        size: ImageSize,
        picture: &Picture,
        mask: Mask,
        part: Option<(Picture, Mask, Region)>,
    ) -> Prepared {
        let content = match self.content() {
            Content::Original | Content::Fill => MaskedContent::Original,
            Content::Noise => MaskedContent::Noise,
            Content::Nothing => MaskedContent::Nothing,
        };
        let cells = match self.mask_cells.unwrap_or(Cells::Any) {
            Cells::Any => MaskCells::Any,
            Cells::Corner => MaskCells::Corner,
        };
        let picture = if self.content() == Content::Fill { fill(picture, &mask) } else { picture.clone() };
        // A part is put back into the whole, whose own pixels it keeps.
        let inpaint = Inpaint { cells, content, keeps_pixels: part.is_none(), ..Inpaint::default() };
        Prepared { size, picture, mask, inpaint, part }
    }
}

impl Prepared {
    /// The picture that steers the run, cut as the initial picture is where only a part of that is drawn: the part's place in a
    /// picture that covers the whole. `None` where all is drawn.
    pub fn steering(&self, picture: &DynamicImage) -> Option<Picture> {
        let (whole, _, region) = self.part.as_ref()?;
        let is_as_large = (picture.width(), picture.height()) == (whole.width, whole.height);
        let covering = (!is_as_large).then(|| picture.resize_to_fill(whole.width, whole.height, FilterType::Lanczos3));
        let Region { left, top, width, height } = *region;
        let part = covering.as_ref().unwrap_or(picture).crop_imm(left, top, width, height);
        let fitted = part.resize_exact(self.size.width(), self.size.height(), FilterType::Lanczos3);
        Some(init_image::picture(fitted.into_rgb8()))
    }

    /// Tells a run what is repainted.
    pub fn tell(&self, init: &mut InitImage, device: &Device) {
        init.mask = Some(self.mask.to_tensor(device));
        init.inpaint = self.inpaint.clone();
    }

    /// The picture that a run made, or the whole that it drew a part of.
    pub fn finish(&self, made: Picture) -> Picture {
        match &self.part {
            Some((picture, mask, region)) => region.put_back(picture, mask, &made),
            None => made,
        }
    }
}

/// The picture in `path` with more canvas, whose size is checked before it is filled.
fn larger(path: &Path, sides: &Outpaint) -> Result<(Picture, Mask)> {
    let picture = init_image::picture(init_image::decode(path)?.into_rgb8());
    let (width, height) = (picture.width + sides.left + sides.right, picture.height + sides.top + sides.bottom);
    ImageSize::new(width, height)
        .with_context(|| format!("the larger canvas would be {width} x {height}; add other numbers of pixels"))?;
    Ok(outpaint(&picture, sides))
}

/// The picture in another size, its own bytes where it has that already.
fn fitted(picture: &Picture, size: ImageSize) -> Picture {
    picture.resized(size.width(), size.height(), Filter::Lanczos)
}
