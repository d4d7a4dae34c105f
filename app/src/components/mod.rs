//! The page's parts, one file each.

mod confirm_dialog;
mod device_line;
mod examples;
mod field_error;
mod form;
mod gallery;
mod gallery_item;
mod init_image_field;
mod notice_bar;
mod number_field;
mod progress_line;
mod prompt_field;
mod run_buttons;
mod scheduler_field;
mod seed_field;
mod size_field;
mod stage;
mod unknown_words;

pub use confirm_dialog::ConfirmDialog;
pub use device_line::DeviceLine;
pub use examples::Examples;
pub use field_error::{FieldError, error_id};
pub use form::Form;
pub use gallery::Gallery;
pub use gallery_item::GalleryItem;
pub use init_image_field::InitImageField;
pub use notice_bar::NoticeBar;
pub use number_field::NumberField;
pub use progress_line::ProgressLine;
pub use prompt_field::PromptField;
pub use run_buttons::RunButtons;
pub use scheduler_field::SchedulerField;
pub use seed_field::SeedField;
pub use size_field::SizeField;
pub use stage::Stage;
pub use unknown_words::UnknownWords;
