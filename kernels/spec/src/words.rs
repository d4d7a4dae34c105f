//! Closed sets of words.

/// An enumeration of words, which it reads and writes.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident, $label:literal { $($(#[$vdoc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
        pub enum $name {
            $($(#[$vdoc])* #[serde(rename = $word)] $variant),+
        }

        impl $name {
            /// Every member, in the order a menu shows them.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The word that users and files know it by.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::SpecError;

            fn from_str(word: &str) -> Result<Self, $crate::SpecError> {
                Self::ALL.iter().copied().find(|member| member.as_str() == word).ok_or_else(|| $crate::SpecError::Unknown {
                    name: $label,
                    found: word.to_owned(),
                    allowed: Self::ALL.iter().map(|m| m.as_str()).collect::<Vec<_>>().join(", "),
                })
            }
        }
    };
}

pub(crate) use words;
