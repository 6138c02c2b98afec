//! Files on several media, by what they are for: `docs/formats/device.md` says which lies where.

use super::{Media, MediaError, MediaFile, Result, Roles};
use daos_locks::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A medium with some of the files.
#[derive(Debug)]
struct Volume {
    media: Arc<dyn Media>,
    /// Whether names changed since they were made durable. Held while they are.
    changed: Mutex<bool>,
}

/// A directory, and devices for some roles.
#[derive(Debug)]
pub struct Routed {
    /// The directory first.
    volumes: Vec<Volume>,
    wal: usize,
    meta: usize,
    /// At least one.
    data: Vec<usize>,
    /// Which file is on which.
    places: Mutex<BTreeMap<String, usize>>,
}

impl Routed {
    /// Of a directory and of devices, each with what it is for: what none of them is for stays in the directory.
    pub fn new(directory: Arc<dyn Media>, devices: Vec<(Roles, Arc<dyn Media>)>) -> Result<Self> {
        let with = |role: Roles| -> Vec<usize> {
            (1..).zip(&devices).filter(|(_, (roles, _))| roles.has(role)).map(|(volume, _)| volume).collect()
        };
        let first = |role| with(role).first().copied().unwrap_or(0);
        let (wal, meta) = (first(Roles::WAL), first(Roles::META));
        let mut data = with(Roles::DATA);
        if data.is_empty() {
            data.push(0);
        }
        let mut places = BTreeMap::new();
        let all = std::iter::once(directory).chain(devices.into_iter().map(|(_, media)| media));
        let volumes: Vec<Volume> = all.map(|media| Volume { media, changed: Mutex::new(false) }).collect();
        for (number, volume) in volumes.iter().enumerate() {
            for name in volume.media.list()? {
                if let Some(other) = places.insert(name.clone(), number) {
                    let why = format!("it is on devices {other} and {number}, of which 0 is the directory");
                    return Err(MediaError::Corrupt { name, why });
                }
            }
        }
        Ok(Self { volumes, wal, meta, data, places: Mutex::new(places) })
    }

    /// Where a file belongs.
    fn home(&self, name: &str, target: u32) -> usize {
        let role = Roles::of_file(name);
        if role == Roles::WAL {
            self.wal
        } else if role == Roles::META {
            self.meta
        } else if role == Roles::DATA {
            self.data.get(target as usize % self.data.len()).copied().unwrap_or(0)
        } else {
            0
        }
    }

    fn volume(&self, number: usize) -> Option<&Volume> {
        self.volumes.get(number)
    }

    /// Runs what changes names of a volume, if there is a file of that name; keeps where files are.
    fn with<T>(
        &self,
        name: &str,
        act: impl FnOnce(&Volume, &mut BTreeMap<String, usize>, usize) -> Result<T>,
    ) -> Result<T> {
        let mut places = self.places.lock();
        // A name that is none is refused by whoever has it.
        let number = places.get(name).copied().unwrap_or_else(|| self.home(name, 0));
        let Some(volume) = self.volume(number) else {
            return Err(MediaError::NotFound { name: name.to_owned() });
        };
        *volume.changed.lock() = true;
        act(volume, &mut places, number)
    }
}

impl Media for Routed {
    fn open(&self, name: &str) -> Result<Arc<dyn MediaFile>> {
        let number = self.volume_of(name, 0);
        match self.volume(number) {
            Some(volume) => volume.media.open(name),
            None => Err(MediaError::NotFound { name: name.to_owned() }),
        }
    }

    fn create(&self, name: &str) -> Result<Arc<dyn MediaFile>> {
        self.create_in(name, 0)
    }

    fn list(&self) -> Result<Vec<String>> {
        Ok(self.places.lock().keys().cloned().collect())
    }

    fn remove(&self, name: &str) -> Result<()> {
        self.with(name, |volume, places, _| {
            volume.media.remove(name)?;
            places.remove(name);
            Ok(())
        })
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        self.with(from, |volume, places, number| {
            if places.get(to).is_some_and(|other| *other != number) {
                return Err(MediaError::Exists { name: to.to_owned() });
            }
            volume.media.rename(from, to)?;
            places.remove(from);
            places.insert(to.to_owned(), number);
            Ok(())
        })
    }

    fn sync_names(&self) -> Result<()> {
        for volume in &self.volumes {
            let mut changed = volume.changed.lock();
            if *changed {
                volume.media.sync_names()?;
                *changed = false;
            }
        }
        Ok(())
    }

    fn available(&self) -> Result<u64> {
        let mut sum = 0_u64;
        for volume in &self.volumes {
            sum = sum.saturating_add(volume.media.available()?);
        }
        Ok(sum)
    }

    fn create_in(&self, name: &str, target: u32) -> Result<Arc<dyn MediaFile>> {
        let mut places = self.places.lock();
        if places.contains_key(name) {
            return Err(MediaError::Exists { name: name.to_owned() });
        }
        let number = self.home(name, target);
        let Some(volume) = self.volume(number) else {
            return Err(MediaError::NotFound { name: name.to_owned() });
        };
        *volume.changed.lock() = true;
        let file = volume.media.create(name)?;
        places.insert(name.to_owned(), number);
        Ok(file)
    }

    fn overlaps(&self) -> bool {
        self.volumes.iter().any(|volume| volume.media.overlaps())
    }

    fn volumes(&self) -> usize {
        self.volumes.len()
    }

    fn volume_of(&self, name: &str, target: u32) -> usize {
        self.places.lock().get(name).copied().unwrap_or_else(|| self.home(name, target))
    }

    fn available_in(&self, volume: usize) -> Result<u64> {
        self.volume(volume).map_or(Ok(0), |volume| volume.media.available())
    }

    fn granule_in(&self, volume: usize) -> u64 {
        self.volume(volume).map_or(1, |volume| volume.media.granule_in(0))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{MemoryMedia, conformance};
    use super::*;

    fn routed(roles: &[Roles]) -> (Routed, Vec<MemoryMedia>) {
        let media: Vec<MemoryMedia> = (0..=roles.len()).map(|_| MemoryMedia::new()).collect();
        let devices = roles
            .iter()
            .zip(&media[1..])
            .map(|(roles, media)| (*roles, Arc::new(media.clone()) as Arc<dyn Media>))
            .collect();
        (Routed::new(Arc::new(media[0].clone()), devices).unwrap(), media)
    }

    #[test]
    fn it_is_a_media() {
        let all = Roles::DATA.and(Roles::META).and(Roles::WAL);
        for roles in [vec![], vec![Roles::DATA], vec![Roles::WAL, Roles::META, Roles::DATA], vec![all]] {
            conformance::suite(&|| Arc::new(routed(&roles).0));
        }
    }

    #[test]
    fn files_lie_by_what_they_are_for_and_data_by_target() {
        let (media, on) = routed(&[Roles::WAL.and(Roles::META), Roles::DATA, Roles::DATA]);
        for (name, target) in [
            ("wal.super", 0),
            ("shard-00000001.idx", 5),
            ("shard-00000001.dat", 5),
            ("shard-00000002.dat", 6),
            ("other", 6),
        ] {
            media.create_in(name, target).unwrap();
        }
        let lists: Vec<Vec<String>> = on.iter().map(|media| media.list().unwrap()).collect();
        assert_eq!(
            lists,
            [
                vec!["other"],
                vec!["shard-00000001.idx", "wal.super"],
                vec!["shard-00000002.dat"],
                vec!["shard-00000001.dat"]
            ]
        );
        // Wherever it is, by whatever target it is asked for.
        assert_eq!(media.volume_of("shard-00000001.dat", 6), 3);
        media.open("shard-00000001.dat").unwrap();
        media.remove("shard-00000001.dat").unwrap();
        assert_eq!(media.volume_of("shard-00000001.dat", 6), 2);
        assert_eq!(media.list().unwrap().len(), 4);
    }

    #[test]
    fn one_name_in_two_places_is_damage() {
        let (_, on) = routed(&[Roles::DATA]);
        on[0].create("shard-00000001.dat").unwrap();
        on[1].create("shard-00000001.dat").unwrap();
        let made = Routed::new(Arc::new(on[0].clone()), vec![(Roles::DATA, Arc::new(on[1].clone()))]);
        assert!(matches!(made, Err(MediaError::Corrupt { .. })));
    }

    #[test]
    fn roles_have_names_and_numbers() {
        for name in ["data", "meta", "wal"] {
            let role = Roles::from_name(name).unwrap();
            assert_eq!((role.to_string().as_str(), Roles::from_bits(role.bits())), (name, Some(role)));
        }
        assert_eq!(Roles::from_bits(7).unwrap().to_string(), "data,meta,wal");
        assert_eq!((Roles::from_bits(8), Roles::from_name("log")), (None, None));
        assert_eq!(Roles::of_file("shard-00000001.idx.new"), Roles::META);
    }
}
