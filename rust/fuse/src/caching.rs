//! What the kernel may keep, and for how long: the attributes of a container that say so. Pure.
//!
//! Source: `docs/guide/mounts.md`; names, units and defaults are DAOS's.

use std::time::Duration;

/// How long the content of a file is kept after it was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DataCache {
    /// It is not kept at all: each read and write asks the store.
    Off,
    /// As long as the file is open.
    OpenToClose,
    /// So long.
    For(Duration),
}

/// What the kernel may keep, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caching {
    /// Attributes.
    pub attr: Duration,
    /// What names lead to.
    pub dentry: Duration,
    /// The same of directories.
    pub dentry_dir: Duration,
    /// That names lead to nothing.
    pub ndentry: Duration,
    /// Contents.
    pub data: DataCache,
    /// Files opened with `O_DIRECT` are kept as well.
    pub direct_io_disable: bool,
    /// What is written is kept by the kernel first.
    pub write_back: bool,
}

impl Caching {
    /// Nothing is kept.
    pub const NONE: Self = Self {
        attr: Duration::ZERO,
        dentry: Duration::ZERO,
        dentry_dir: Duration::ZERO,
        ndentry: Duration::ZERO,
        data: DataCache::Off,
        direct_io_disable: false,
        write_back: false,
    };

    /// What holds where a container says nothing.
    pub const DEFAULT: Self = Self {
        attr: Duration::from_secs(1),
        dentry: Duration::from_secs(1),
        dentry_dir: Duration::from_secs(5),
        ndentry: Duration::from_secs(5),
        data: DataCache::For(Duration::from_secs(600)),
        direct_io_disable: false,
        write_back: true,
    };

    /// The names of the attributes.
    pub const NAMES: [&'static str; 6] = [
        "dfuse-attr-time",
        "dfuse-dentry-time",
        "dfuse-dentry-dir-time",
        "dfuse-ndentry-time",
        "dfuse-data-cache",
        "dfuse-direct-io-disable",
    ];

    /// What a container says, by the values of [`NAMES`](Self::NAMES), in their order. If it says anything, what it leaves out is off;
    /// directories are then kept as long as other names. What it says that means nothing is told in words.
    pub fn of(values: &[Option<Vec<u8>>]) -> Result<Self, String> {
        if values.iter().all(Option::is_none) {
            return Ok(Self::DEFAULT);
        }
        let said = |index: usize| -> Option<(&'static str, String)> {
            let value = values.get(index)?.as_ref()?;
            let text = String::from_utf8_lossy(value).trim_end_matches('\0').trim().to_owned();
            Some((*Self::NAMES.get(index)?, text))
        };
        let time = |index: usize| match said(index) {
            None => Ok(None),
            Some((name, text)) => duration(&text).map(Some).ok_or_else(|| {
                format!("{name} is {text:?}; it has to be seconds, or a time as 30s, 5m, 2h or 1d")
            }),
        };
        let dentry = time(1)?;
        let data = match said(4) {
            None => DataCache::Off,
            Some((name, text)) => match (switch(&text), duration(&text)) {
                (Some(false), _) | (None, Some(Duration::ZERO)) => DataCache::Off,
                (Some(true), _) => DataCache::For(Duration::MAX),
                (None, Some(time)) => DataCache::For(time),
                (None, None) if text.eq_ignore_ascii_case("otoc") => DataCache::OpenToClose,
                (None, None) => {
                    return Err(format!("{name} is {text:?}; it has to be on, off, otoc or a time"));
                }
            },
        };
        let direct_io_disable = match said(5) {
            None => false,
            Some((name, text)) => {
                switch(&text).ok_or_else(|| format!("{name} is {text:?}; it has to be on or off"))?
            }
        };
        Ok(Self {
            attr: time(0)?.unwrap_or_default(),
            dentry: dentry.unwrap_or_default(),
            dentry_dir: time(2)?.or(dentry).unwrap_or_default(),
            ndentry: time(3)?.unwrap_or_default(),
            data,
            direct_io_disable,
            write_back: data != DataCache::Off,
        })
    }

    /// Whether contents that were closed so long ago, if ever, may still be there.
    pub(crate) fn keeps(&self, closed: Option<Duration>) -> bool {
        match (self.data, closed) {
            (DataCache::For(time), Some(ago)) => ago < time,
            _ => false,
        }
    }
}

fn switch(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "on" | "true" => Some(true),
        "off" | "false" => Some(false),
        _ => None,
    }
}

/// A number of seconds, minutes, hours or days.
fn duration(text: &str) -> Option<Duration> {
    let unit = match text.bytes().last()? {
        b's' | b'S' => 1,
        b'm' | b'M' => 60,
        b'h' | b'H' => 3600,
        b'd' | b'D' => 86_400,
        _ => 0,
    };
    let number = if unit == 0 { text } else { text.get(..text.len() - 1)? };
    if !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let seconds = number.parse::<u64>().ok()?.checked_mul(unit.max(1))?;
    Some(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(values: [&str; 6]) -> Result<Caching, String> {
        let value = |text: &str| (!text.is_empty()).then(|| text.as_bytes().to_vec());
        Caching::of(&values.map(value))
    }

    #[test]
    fn a_container_that_says_nothing_has_the_defaults() {
        assert_eq!(said([""; 6]), Ok(Caching::DEFAULT));
    }

    #[test]
    fn what_is_left_out_is_off_once_something_is_said() {
        let caching = said(["30s", "", "", "", "", ""]).unwrap();
        assert_eq!(caching, Caching { attr: Duration::from_secs(30), ..Caching::NONE });
    }

    #[test]
    fn directories_are_kept_as_other_names_unless_it_is_said() {
        let caching = said(["", "5m", "", "", "", ""]).unwrap();
        assert_eq!(
            (caching.dentry, caching.dentry_dir),
            (Duration::from_secs(300), Duration::from_secs(300))
        );
        let caching = said(["", "5m", "2h", "1d", "", ""]).unwrap();
        let hours = |hours: u64| Duration::from_secs(3600 * hours);
        assert_eq!((caching.dentry_dir, caching.ndentry), (hours(2), hours(24)));
    }

    #[test]
    fn contents_are_kept_as_it_is_said() {
        for (text, data, write_back) in [
            ("on", DataCache::For(Duration::MAX), true),
            ("TRUE", DataCache::For(Duration::MAX), true),
            ("off", DataCache::Off, false),
            ("0", DataCache::Off, false),
            ("otoc", DataCache::OpenToClose, true),
            ("60", DataCache::For(Duration::from_secs(60)), true),
        ] {
            let caching = said(["", "", "", "", text, "on"]).unwrap();
            assert_eq!((caching.data, caching.write_back), (data, write_back), "{text}");
            assert!(caching.direct_io_disable);
        }
        let caching = said(["", "", "", "", "60", ""]).unwrap();
        assert!(caching.keeps(Some(Duration::from_secs(59))));
        assert!(!caching.keeps(Some(Duration::from_secs(60))));
        assert!(!caching.keeps(None));
    }

    #[test]
    fn what_means_nothing_is_told() {
        for (index, text) in [
            (0, "soon"),
            (1, "-1"),
            (2, "5w"),
            (3, "s"),
            (4, "maybe"),
            (5, "5"),
            (0, "99999999999999999999"),
            (0, "+5"),
        ] {
            let mut values = [""; 6];
            values[index] = text;
            let error = said(values).unwrap_err();
            assert!(error.contains(Caching::NAMES[index]) && error.contains(text), "{error}");
        }
    }
}
