//! What the switches on the denoiser promise beside their reference: off where they say nothing, seamless, in any combination.

use super::device;
use anyhow::Result;
use burn::tensor::Tensor;
use diffusion::{
    nn::Seamless,
    noise::Noise,
    pipeline::{
        CancelToken, LoadOptions, Panorama, PipelineRequest, SelfAttentionGuidance, Silent, StableDiffusion, Switches,
    },
    unet::{FreeU, TokenMerging},
    vae::{TilingMode, VaeTiling},
};
use golden::Data;
use serde_json::json;
use spec::{NoiseKind, Seed};
use weights::relative_error;

fn model() -> Result<StableDiffusion> {
    Ok(StableDiffusion::load(&Data::folder().model("tiny-sd15")?, &device()?, LoadOptions::default())?)
}

fn request(prompts: usize, size: [u32; 2], steps: u32) -> Result<PipelineRequest> {
    let spec = json!({ "prompt": "a photo of an astronaut", "negative_prompt": "blurry", "steps": steps,
                       "guidance": 5.0, "seed": 3, "size": size, "batch": prompts });
    Ok(PipelineRequest::from_spec(&serde_json::from_value(spec)?, None))
}

fn latents(model: &StableDiffusion, request: PipelineRequest) -> Result<Tensor<4>> {
    Ok(pollster::block_on(Box::pin(model.generate(request, &mut Silent, &CancelToken::default())))?.latents)
}

fn error(a: Tensor<4>, b: Tensor<4>) -> Result<f64> {
    let values = |tensor| pollster::block_on(golden::values(tensor));
    Ok(relative_error(&values(a)?, &values(b)?))
}

const FREEU: FreeU = FreeU { b1: 1.5, b2: 1.6, s1: 0.9, s2: 0.2 };

fn all() -> Switches {
    Switches {
        freeu: Some(FREEU),
        token_merging: Some(TokenMerging::default()),
        self_attention: Some(SelfAttentionGuidance { scale: 0.75 }),
        panorama: Some(Panorama { circular: true }),
        seamless: Seamless { x: true, y: false },
    }
}

#[test]
fn switches_that_say_nothing_leave_a_run_as_it_is() -> Result<()> {
    let model = model()?;
    let of = |switches| latents(&model, PipelineRequest { switches, ..request(1, [96, 64], 2)? });
    let plain = of(Switches::default())?;
    let none = FreeU { b1: 1.0, b2: 1.0, s1: 1.0, s2: 1.0 };
    let merging = TokenMerging { ratio: 0.0, ..TokenMerging::default() };
    for (name, switches) in [
        ("FreeU", Switches { freeu: Some(none), ..Switches::default() }),
        ("merging", Switches { token_merging: Some(merging), ..Switches::default() }),
        ("guidance", Switches { self_attention: Some(SelfAttentionGuidance { scale: 0.0 }), ..Switches::default() }),
        ("panorama", Switches { panorama: Some(Panorama::default()), ..Switches::default() }),
    ] {
        let error = error(plain.clone(), of(switches)?)?;
        println!("{name}: {error:.2e}");
        assert!(error < 1e-5, "{name} moves the run by {error}");
    }
    for (name, switches) in [
        (
            "FreeU",
            Switches { panorama: None, token_merging: None, self_attention: None, seamless: Seamless::NONE, ..all() },
        ),
        ("merging", Switches { panorama: None, freeu: None, self_attention: None, seamless: Seamless::NONE, ..all() }),
        ("guidance", Switches { panorama: None, freeu: None, token_merging: None, seamless: Seamless::NONE, ..all() }),
    ] {
        assert!(error(plain.clone(), of(switches)?)? > 1e-3, "{name} does nothing");
    }
    Ok(())
}

#[test]
fn a_circular_panorama_has_no_seam() -> Result<()> {
    const TURN: usize = 24;
    let (model, device) = (model()?, device()?);
    let noise = Noise::new(NoiseKind::Philox, Seed(3), 1).draw([4, 8, 72], &device);
    let turned = |latents: Tensor<4>| {
        let [.., width] = latents.dims();
        Tensor::cat(vec![latents.clone().narrow(3, TURN, width - TURN), latents.narrow(3, 0, TURN)], 3)
    };
    let of = |latents: Tensor<4>, circular| {
        let switches = Switches { panorama: Some(Panorama { circular }), ..Switches::default() };
        self::latents(&model, PipelineRequest { switches, latents: Some(latents), ..request(1, [576, 64], 2)? })
    };
    // Where there is no seam, nobody can tell where the picture was cut.
    let round = error(turned(of(noise.clone(), true)?), of(turned(noise.clone()), true)?)?;
    let flat = error(turned(of(noise.clone(), false)?), of(turned(noise), false)?)?;
    println!("turned by {TURN} columns: {round:.2e} where it is circular, {flat:.2e} where it is not");
    assert!(round < 1e-4, "a seam moves the run by {round}");
    assert!(flat > 1e-3);
    Ok(())
}

#[test]
fn a_seamless_picture_is_the_same_wherever_it_is_cut() -> Result<()> {
    let (model, device) = (model()?, device()?);
    let noise = Noise::new(NoiseKind::Philox, Seed(3), 1).draw([4, 16, 12], &device);
    // By as many as the coarsest level of the network has in one.
    let turned = |tensor: Tensor<4>, factor: usize| {
        [2, 3].into_iter().fold(tensor, |tensor, axis| {
            let (length, turn) = (tensor.dims()[axis], 4 * factor);
            let (left, right) = (tensor.clone().narrow(axis, 0, turn), tensor.narrow(axis, turn, length - turn));
            Tensor::cat(vec![right, left], axis)
        })
    };
    let of = |latents: Tensor<4>, seamless, vae_tiling| {
        let switches = Switches { seamless, ..Switches::default() };
        let request = PipelineRequest { switches, latents: Some(latents), vae_tiling, ..request(1, [96, 128], 2)? };
        Ok::<_, anyhow::Error>(pollster::block_on(Box::pin(model.generate(
            request,
            &mut Silent,
            &CancelToken::default(),
        )))?)
    };
    let small = TilingMode::On(VaeTiling { tile: 8, ..VaeTiling::default() });
    // A tile's norms are its own, so tiles that are cut otherwise differ a little.
    for (tiling, most) in [(TilingMode::Off, 1e-4), (small, 0.2)] {
        let whole = of(noise.clone(), Seamless::BOTH, tiling)?;
        let cut = of(turned(noise.clone(), 1), Seamless::BOTH, tiling)?;
        let (latents, image) =
            (error(turned(whole.latents, 1), cut.latents)?, error(turned(whole.image, 8), cut.image)?);
        println!("{tiling:?}: {latents:.2e} of the latents, {image:.2e} of the picture");
        assert!(latents < 1e-4 && image < most);
    }
    let whole = of(noise.clone(), Seamless::NONE, TilingMode::Off)?;
    assert!(error(turned(whole.latents, 1), of(turned(noise, 1), Seamless::NONE, TilingMode::Off)?.latents)? > 1e-3);
    Ok(())
}

#[test]
fn switches_combine_and_a_picture_is_what_it_is_alone() -> Result<()> {
    let model = model()?;
    let both = latents(&model, PipelineRequest { switches: all(), ..request(2, [576, 64], 2)? })?;
    let again = latents(&model, PipelineRequest { switches: all(), ..request(2, [576, 64], 2)? })?;
    both.to_data().assert_eq(&again.into_data(), true);
    let alone = latents(&model, PipelineRequest { switches: all(), ..request(1, [576, 64], 2)? })?;
    let apart = error(alone.clone(), both.narrow(0, 0, 1))?;
    println!("alone and in a batch: {apart:.2e}");
    assert!(apart < 1e-4, "a neighbour moves the run by {apart}");
    assert!(pollster::block_on(golden::values(alone))?.iter().all(|value| value.is_finite()));
    Ok(())
}
