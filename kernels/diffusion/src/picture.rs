//! Finished pixels, and the PNG that carries their parameters.

use burn::tensor::{Device, Tensor, TensorData};
use std::io::Write as _;
use thiserror::Error;

/// A PNG that could not be written.
#[derive(Debug, Error)]
#[error("could not write the PNG")]
pub struct PngError(#[from] png::EncodingError);

/// Eight-bit RGB pixels, row by row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
    /// `3 * width * height` bytes.
    pub rgb: Vec<u8>,
}

impl Picture {
    /// Rounds values in 0..1 to bytes.
    ///
    /// # Shapes
    ///
    /// - planes: three planes of `height * width` values
    pub fn from_planes(planes: &[f32], width: usize, height: usize) -> Self {
        let area = width * height;
        let rgb = (0..area)
            .flat_map(|pixel| [0, 1, 2].map(|channel| (planes[channel * area + pixel] * 255.0).round() as u8))
            .collect();
        Self { width: width as u32, height: height as u32, rgb }
    }

    /// The picture as the encoder takes it.
    ///
    /// # Shapes
    ///
    /// - output: `[1, 3, height, width]` in -1..1
    pub fn to_tensor(&self, device: &Device) -> Tensor<4> {
        let (width, height) = (self.width as usize, self.height as usize);
        let values: Vec<f32> = (0..3)
            .flat_map(|channel| self.rgb.iter().skip(channel).step_by(3).map(|&byte| f32::from(byte) / 127.5 - 1.0))
            .collect();
        Tensor::from_data(TensorData::new(values, [1, 3, height, width]), device)
    }

    /// The picture as a mask for [`crate::pipeline::InitImage`]: 1 where red is at least half, since masks are grey.
    ///
    /// # Shapes
    ///
    /// - output: `[1, 1, height, width]`, 0 or 1
    pub fn to_mask(&self, device: &Device) -> Tensor<4> {
        let (width, height) = (self.width as usize, self.height as usize);
        let values: Vec<f32> = self.rgb.iter().step_by(3).map(|&byte| f32::from(u8::from(byte >= 128))).collect();
        Tensor::from_data(TensorData::new(values, [1, 1, height, width]), device)
    }

    /// Drops the fourth byte of every pixel.
    pub fn from_rgba(rgba: &[u8], width: u32, height: u32) -> Self {
        Self { width, height, rgb: rgba.chunks_exact(4).flat_map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect() }
    }

    /// Adds an opaque fourth byte to every pixel.
    pub fn to_rgba(&self) -> Vec<u8> {
        self.rgb.chunks_exact(3).flat_map(|pixel| [pixel[0], pixel[1], pixel[2], 255]).collect()
    }

    /// A PNG with the text chunk `parameters` that web UIs read back.
    ///
    /// # Errors
    /// [`PngError`] when the encoder fails.
    pub fn to_png(&self, parameters: &str) -> Result<Vec<u8>, PngError> {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, self.width, self.height);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        // tEXt has Latin-1 only; anything else goes into iTXt, as web UIs do it.
        if parameters.is_ascii() {
            encoder.add_text_chunk("parameters".to_owned(), parameters.to_owned())?;
        } else {
            encoder.add_itxt_chunk("parameters".to_owned(), parameters.to_owned())?;
        }
        let mut writer = encoder.write_header()?;
        let mut stream = writer.stream_writer()?;
        stream.write_all(&self.rgb).map_err(png::EncodingError::from)?;
        stream.finish()?;
        writer.finish()?;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pngs_carry_their_parameters_in_any_script() {
        let picture = Picture { width: 2, height: 1, rgb: vec![1, 2, 3, 4, 5, 6] };
        for text in ["a red apple\nSteps: 20", "ein Äpfel 🍎\nSteps: 20"] {
            let bytes = picture.to_png(text).unwrap();
            let reader = png::Decoder::new(std::io::Cursor::new(&bytes)).read_info().unwrap();
            let info = reader.info();
            let latin = info.uncompressed_latin1_text.iter().map(|chunk| chunk.text.clone());
            let utf8 = info.utf8_text.iter().map(|chunk| chunk.get_text().unwrap());
            assert_eq!(latin.chain(utf8).collect::<Vec<_>>(), [text]);
        }
    }

    #[test]
    fn pixels_survive_the_way_to_a_tensor_and_back() {
        let picture = Picture { width: 2, height: 2, rgb: (0..12).map(|i| i * 20).collect() };
        let tensor = picture.to_tensor(&Device::flex());
        let planes: Vec<f32> = ((tensor + 1.0) / 2.0).into_data().try_to_vec().unwrap();
        assert_eq!(Picture::from_planes(&planes, 2, 2), picture);
    }
}
