//! `--mask`, `--outpaint-left` and what belongs to them.

use crate::init_image;
use anyhow::{Context as _, Result, bail};
use burn::tensor::Device;
use clap::{Args, ValueEnum};
use diffusion::{
    inpaint::{Mask, Outpaint, Region, fill, outpaint},
    picture::Picture,
    pipeline::{InitImage, Inpaint, MaskCells, MaskedContent},
    resample::Filter,
};
use spec::ImageSize;
use std::path::{Path, PathBuf};

/// Which part of the initial picture is repainted, and how.
#[derive(Debug, Args)]
pub struct InpaintArgs {
    /// Mask of the initial picture, white where it is repainted, as large as the picture
    #[arg(long, value_name = "FILE", requires = "init_image")]
    mask: Option<PathBuf>,
    /// Repaint where the mask is black
    #[arg(long, requires = "mask")]
    invert_mask: bool,
    /// Deviation in pixels of the blur that softens the mask, 0 to 64
    #[arg(long, value_parser = blur, default_value = "0", allow_negative_numbers = true)]
    mask_blur: f64,
    /// What the masked part holds at the beginning
    #[arg(long, value_enum, default_value_t = Content::Original)]
    masked_content: Content,
    /// Which latents belong to the mask: with any masked pixel, or (as diffusers has it) with a masked corner
    #[arg(long, value_enum, default_value_t = Cells::Any)]
    mask_cells: Cells,
    /// Draw the masked part alone, at the size that is asked, and put it back into the picture
    #[arg(long, requires = "mask")]
    only_masked: bool,
    /// Pixels around the masked part that are drawn with it
    #[arg(long, value_name = "PIXELS", default_value_t = 32, requires = "only_masked")]
    only_masked_padding: u32,
    /// Pixels to add at the left of the initial picture
    #[arg(long, value_name = "PIXELS", value_parser = clap::value_parser!(u32).range(0..=2048), default_value_t = 0, requires = "init_image", conflicts_with_all = ["mask", "width", "height"])]
    outpaint_left: u32,
    /// Pixels to add at its right
    #[arg(long, value_name = "PIXELS", value_parser = clap::value_parser!(u32).range(0..=2048), default_value_t = 0, requires = "init_image", conflicts_with_all = ["mask", "width", "height"])]
    outpaint_right: u32,
    /// Pixels to add above it
    #[arg(long, value_name = "PIXELS", value_parser = clap::value_parser!(u32).range(0..=2048), default_value_t = 0, requires = "init_image", conflicts_with_all = ["mask", "width", "height"])]
    outpaint_top: u32,
    /// Pixels to add below it
    #[arg(long, value_name = "PIXELS", value_parser = clap::value_parser!(u32).range(0..=2048), default_value_t = 0, requires = "init_image", conflicts_with_all = ["mask", "width", "height"])]
    outpaint_bottom: u32,
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

impl InpaintArgs {
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
        let (mask, is_own_size) = (mask.blurred(self.mask_blur), width.is_none() && height.is_none());
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

    /// What web UIs write of a mask.
    pub fn infotext(&self) -> Vec<String> {
        if self.mask.is_none() && self.outpaint().is_empty() {
            return Vec::new();
        }
        let mut pairs = vec![format!("Mask blur: {}", self.mask_blur)];
        let content = match self.masked_content {
            Content::Original => None,
            Content::Fill => Some("fill"),
            Content::Noise => Some("latent noise"),
            Content::Nothing => Some("latent nothing"),
        };
        pairs.extend(content.map(|content| format!("Masked content: {content}")));
        if self.invert_mask {
            pairs.push("Mask mode: Inpaint not masked".to_owned());
        }
        if self.only_masked {
            pairs.push("Inpaint area: Only masked".to_owned());
            pairs.push(format!("Masked area padding: {}", self.only_masked_padding));
        }
        pairs
    }

    const fn outpaint(&self) -> Outpaint {
        let [left, right] = [self.outpaint_left, self.outpaint_right];
        let [top, bottom] = [self.outpaint_top, self.outpaint_bottom];
        // As far as the blur reaches into the old picture, and as far again.
        Outpaint { left, right, top, bottom, overlap: (self.mask_blur * 2.0) as u32 }
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
        let region = Region::around(&mask, self.only_masked_padding, target).context(
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
        let content = match self.masked_content {
            Content::Original | Content::Fill => MaskedContent::Original,
            Content::Noise => MaskedContent::Noise,
            Content::Nothing => MaskedContent::Nothing,
        };
        let cells = match self.mask_cells {
            Cells::Any => MaskCells::Any,
            Cells::Corner => MaskCells::Corner,
        };
        let picture = if self.masked_content == Content::Fill { fill(picture, &mask) } else { picture.clone() };
        // A part is put back into the whole, whose own pixels it keeps.
        let inpaint = Inpaint { cells, content, keeps_pixels: part.is_none(), ..Inpaint::default() };
        Prepared { size, picture, mask, inpaint, part }
    }
}

impl Prepared {
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
