//! The playground: a prompt becomes a picture in the visitor's own browser, or on the server behind the page.

mod account;
mod app;
mod components;
mod device;
mod engine_handle;
mod error;
mod estimate;
mod gallery;
mod gallery_db;
mod key_storage;
mod library;
mod library_storage;
mod pace;
mod plate;
mod progress_words;
mod query;
mod recovery;
mod room;
mod root_data;
mod run;
mod run_costs;
mod server;
mod session;
mod shortcuts;
mod size_presets;
mod start_picture;
mod state;
mod task;
mod throttle;
mod view;
mod words;

fn main() {
    app::mount();
}
