//! The playground: a prompt becomes a picture in the visitor's own browser.

mod app;
mod components;
mod device;
mod engine_handle;
mod error;
mod gallery;
mod gallery_db;
mod plate;
mod progress_words;
mod query;
mod recovery;
mod root_data;
mod session;
mod shortcuts;
mod size_presets;
mod start_picture;
mod state;
mod task;
mod throttle;
mod words;

fn main() {
    app::mount();
}
