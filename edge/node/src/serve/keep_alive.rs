//! Reports, which keep a lease alive.

use super::{
    backoff::Backoff,
    edge::{CallError, Edge, JobRef},
    log,
    watch::{Stage, Watch},
};
use api::node::{Preview, Report};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use diffusion::picture::Picture;
use spec::Progress;
use std::time::{Duration, Instant};
use tokio::{select, time::sleep};

/// Steps that follow faster than this are told as one.
const BETWEEN_REPORTS: Duration = Duration::from_millis(200);
/// Longest side of a preview in pixels.
const PREVIEW_SIDE: u32 = 512;

/// Tells the edge what happens, and at least every third of the lease that the job is worked on; returns when the lease is over.
pub async fn keep_alive(edge: &Edge, job: &JobRef, watch: &Watch) {
    let period = watch.lease() / 3;
    let mut stages = watch.listen();
    let mut backoff = Backoff::default();
    let mut told = None;
    loop {
        let began = Instant::now();
        select! {
            changed = stages.changed() => if changed.is_err() { return },
            () = sleep(period) => {}
        }
        let progress = progress_of(*stages.borrow_and_update());
        let news = progress.filter(|_| progress != told);
        match report(edge, job, watch, news).await {
            Ok(()) => {
                told = progress;
                backoff = Backoff::default();
                sleep(BETWEEN_REPORTS.min(period).saturating_sub(began.elapsed())).await;
            }
            Err(CallError::Lost) => return,
            Err(error) => {
                if !watch.is_alive() {
                    return;
                }
                log::warn("a report failed", &[("job", job.job.into()), ("why", error.to_string().into())]);
                sleep(backoff.next().min(period)).await;
                // Whatever changed meanwhile is told at once, and so is what could not be told.
                stages.mark_changed();
            }
        }
    }
}

const fn progress_of(stage: Stage) -> Option<Progress> {
    match stage {
        Stage::Computing(progress) => progress,
        Stage::Waiting | Stage::Finishing => None,
    }
}

/// Sends how far it is and every preview that waits, each in a report of its own.
async fn report(edge: &Edge, job: &JobRef, watch: &Watch, progress: Option<Progress>) -> Result<(), CallError> {
    let mut previews = watch.take_previews().into_iter();
    let mut next = previews.next();
    let mut progress = progress;
    loop {
        let preview = next.take().and_then(|(index, picture)| encoded(index, picture));
        let report = Report { epoch: job.epoch, progress: progress.take(), preview };
        let sent = Instant::now();
        match edge.report(job, &report).await {
            Ok(heard) => watch.heard(sent, heard.previews),
            // The edge will never like this one better; that it answered is enough to go on.
            Err(CallError::Rejected(status)) => {
                log::warn("a report was rejected", &[("job", job.job.into()), ("status", status.as_u16().into())]);
            }
            Err(error) => return Err(error),
        }
        next = previews.next();
        if next.is_none() {
            return Ok(());
        }
    }
}

fn encoded(index: u32, picture: Picture) -> Option<Preview> {
    let Picture { width, height, .. } = picture;
    let picture = if width.max(height) > PREVIEW_SIDE {
        let image = image::RgbImage::from_raw(width, height, picture.rgb)?;
        let small = image::DynamicImage::from(image).thumbnail(PREVIEW_SIDE, PREVIEW_SIDE);
        crate::init_image::picture(small.into_rgb8())
    } else {
        picture
    };
    Some(Preview { index, png: BASE64_STANDARD.encode(picture.to_png("").ok()?) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn previews_are_small() {
        let preview = encoded(3, Picture { width: 2048, height: 1024, rgb: vec![9; 2048 * 1024 * 3] }).unwrap();
        let png = BASE64_STANDARD.decode(preview.png).unwrap();
        let image = image::load_from_memory(&png).unwrap();
        assert_eq!((preview.index, image.width(), image.height()), (3, 512, 256));
    }
}
