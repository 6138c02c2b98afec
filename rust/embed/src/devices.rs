//! The devices of a system: which of its files lie on which, and whose they are. `docs/formats/device.md` tells.

use daos_client::{Error, Result};
use daos_types::Der;
use daos_vos::media::{
    Access, DeviceError, DeviceIdentity, DeviceMedia, Media, MediaError, Roles, Routed, SIZE_MIN, open_device,
};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Devices, in the order in which they were formatted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Devices {
    /// Of the storage that they are part of.
    pub uuid: [u8; 16],
    /// The system's name.
    pub system: String,
    /// Paths of files or block devices, and what each is for.
    pub list: Vec<(PathBuf, Roles)>,
}

impl Devices {
    /// The files of a store in a directory and on these; all are this process's alone.
    pub(crate) fn open(&self, directory: Arc<dyn Media>, fresh: bool) -> Result<Arc<dyn Media>> {
        let mut opened = Vec::new();
        for (index, (path, roles)) in (0..).zip(&self.list) {
            let identity = DeviceIdentity {
                uuid: self.uuid,
                system: self.system.clone(),
                index,
                count: self.list.len() as u32,
                roles: *roles,
            };
            let open = || {
                let device = DeviceMedia::open(open_device(path, Access::Alone)?, &identity)?;
                let names = device.list()?;
                Ok((device, names))
            };
            let (device, names) = open().map_err(|error| told(&error, path))?;
            opened.push((device, names, *roles, path));
        }
        if fresh {
            // All are looked at before one is changed.
            for (_, names, _, path) in &opened {
                check_unused(names, path)?;
            }
            for (device, names, _, path) in &opened {
                // A creation that was cut short: nothing in it was ever acknowledged.
                let clear = || {
                    names.iter().try_for_each(|name| device.remove(name))?;
                    device.sync_names()
                };
                clear().map_err(|error| told(&error.into(), path))?;
            }
        }
        let devices =
            opened.into_iter().map(|(device, _, roles, _)| (roles, Arc::new(device) as _)).collect();
        let routed = Routed::new(directory, devices).map_err(|error| crate::route::told(error.into()))?;
        Ok(Arc::new(routed))
    }
}

/// What a creation that was cut short leaves behind, and nothing else: no pool's shard was ever made.
fn check_unused(names: &[String], path: &Path) -> Result<()> {
    let is_used = |name: &String| name.starts_with("shard-") && !name.contains("00000000");
    if !names.iter().any(is_used) {
        return Ok(());
    }
    let message = format!("{} holds a store, but there is no file `system` for it", path.display());
    Err(Error::new(Der::DfInval, message)
        .hint("restore the engine's directory from a copy; a format with --force deletes the store"))
}

/// Makes a device, whatever is on it; durable at return.
pub fn format_device(path: &Path, identity: &DeviceIdentity) -> Result<()> {
    let format = || DeviceMedia::format(&*open_device(path, Access::Alone)?, identity);
    format().map_err(|error| told(&error, path))
}

/// Whose a device is, and its size; `None` where it has no superblock. It may be in use.
pub fn inspect_device(path: &Path) -> Result<Option<(DeviceIdentity, u64)>> {
    let look = || DeviceMedia::inspect(&*open_device(path, Access::Look)?);
    look().map_err(|error| told(&error, path))
}

/// What is said of a device that cannot be had.
fn told(error: &DeviceError, path: &Path) -> Error {
    const FORMAT: &str = "name the device that it was formatted with; a format with --force makes it new, and deletes what it holds";
    let shown = path.display();
    let error_of = |der, message: String, hint: &'static str| Error::new(der, message).hint(hint);
    match error {
        DeviceError::Foreign => error_of(
            Der::Uninit,
            format!("device {shown} has no superblock: it is empty, or another's"),
            FORMAT,
        ),
        DeviceError::Later(version) => error_of(
            Der::DfIncompt,
            format!("device {shown} has format {version}; this program knows format 1"),
            "install a newer version of daos",
        ),
        DeviceError::Damaged(why) => error_of(
            Der::DfInval,
            format!("device {shown} is damaged: {why}"),
            "restore the engine's storage from its replicas: format it with --force --replace",
        ),
        DeviceError::TooSmall { size, needed } => error_of(
            Der::Inval,
            format!("device {shown} has {size} bytes, and needs {needed}"),
            if *needed == SIZE_MIN { "take a larger one" } else { "it was larger when it was formatted" },
        ),
        DeviceError::Another(why) => error_of(Der::Inval, format!("device {shown}: {why}"), FORMAT),
        DeviceError::Media(MediaError::NotFound { .. }) => error_of(
            Der::Nonexist,
            format!("device {shown} is not there"),
            "bring it back, or take it from the list and format the storage",
        ),
        DeviceError::Media(MediaError::Io { error, .. }) if is_busy(error) => error_of(
            Der::Busy,
            format!("device {shown} is in use"),
            "another engine has it, or a file system of it is mounted",
        ),
        DeviceError::Media(MediaError::Io { what, error, .. }) => crate::directory::failed(error, what, path),
        other => Error::new(Der::Io, format!("device {shown}: {other}")),
    }
}

fn is_busy(error: &std::io::Error) -> bool {
    error.raw_os_error() == Some(libc::EBUSY)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::{Options, System};
    use daos_client::ContainerObjects as _;
    use daos_types::{Cond, ObjectId, ObjectType, PoolId};
    use std::fs::File;

    /// A directory of a test, gone with it.
    struct Place(PathBuf);

    impl Place {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("daos-devices-{name}-{}", std::process::id()));
            let _ = std::fs::remove_dir_all(&path);
            std::fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        /// Devices with these roles, formatted.
        fn devices(&self, roles: &[Roles]) -> Devices {
            let list: Vec<(PathBuf, Roles)> =
                roles.iter().enumerate().map(|(n, roles)| (self.0.join(format!("dev{n}")), *roles)).collect();
            let devices = Devices { uuid: [7; 16], system: "s".to_owned(), list };
            for (index, (path, roles)) in (0..).zip(&devices.list) {
                File::create(path).unwrap().set_len(SIZE_MIN).unwrap();
                let count = devices.list.len() as u32;
                let (uuid, system) = (devices.uuid, devices.system.clone());
                format_device(path, &DeviceIdentity { uuid, system, index, count, roles: *roles }).unwrap();
            }
            devices
        }

        fn open(&self, devices: &Devices) -> Result<Arc<System>> {
            let options = Options { targets: 2, devices: Some(devices.clone()), ..Options::default() };
            System::open(&self.0.join("system"), &options)
        }

        /// The files of the store that lie in the directory.
        fn beside(&self) -> Vec<String> {
            let listed = std::fs::read_dir(self.0.join("system/store")).unwrap();
            let mut names: Vec<String> =
                listed.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            names
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn all_roles() -> [Roles; 3] {
        [Roles::WAL, Roles::META, Roles::DATA]
    }

    #[test]
    fn what_is_stored_lies_on_the_devices_and_is_there_again() {
        for roles in [
            vec![Roles::DATA; 2],
            all_roles().to_vec(),
            vec![all_roles().into_iter().fold(Roles::NONE, Roles::and)],
        ] {
            let place = Place::new("stored");
            let devices = place.devices(&roles);
            let kv = ObjectId::generate(ObjectType::KvHashed, 1, 1, 0, 1);
            let values: Vec<Vec<u8>> =
                [10, 5_000, 100_000, 3_000_000].map(|len| vec![len as u8; len]).to_vec();
            let system = place.open(&devices).unwrap();
            let cont = system.pool_create("p", b"").unwrap().container_create("c", b"").unwrap();
            for (number, value) in (0_u8..).zip(&values) {
                for key in 0..8 {
                    cont.kv(kv).unwrap().put(&[number, key], value, Cond::NONE).unwrap();
                }
            }
            system.close().unwrap();
            drop((cont, system));
            let wal = roles.iter().any(|roles| roles.has(Roles::WAL));
            let beside = place.beside();
            // Of values nothing is there, and of all the rest nothing either where devices are for it.
            assert!(
                !beside.iter().any(|name| name.contains(".dat")) && wal == beside.is_empty(),
                "{beside:?}"
            );
            let system = place.open(&devices).unwrap();
            let cont = system.pool_open("p").unwrap().container_open("c").unwrap();
            for (number, value) in (0_u8..).zip(&values) {
                let mut found = Vec::new();
                assert!(cont.kv(kv).unwrap().get(&[number, 3], Cond::NONE, &mut found).unwrap());
                assert_eq!(&found, value);
            }
            system.close().unwrap();
        }
    }

    #[test]
    fn a_device_that_is_not_the_one_is_refused() {
        let place = Place::new("refused");
        let devices = place.devices(&all_roles());
        place.open(&devices).unwrap().close().unwrap();
        let refused = |devices: &Devices| place.open(devices).map(drop).unwrap_err();
        let with = |change: &dyn Fn(&mut Devices)| {
            let mut changed = devices.clone();
            change(&mut changed);
            refused(&changed)
        };
        assert_eq!(with(&|devices| devices.uuid = [8; 16]).der, Der::Inval);
        assert!(with(&|devices| devices.system = "t".to_owned()).message.contains("belongs to system"));
        assert!(with(&|devices| drop(devices.list.pop())).message.contains("number 0 of 3"));
        let swapped = with(&|devices| {
            let (first, second) = (devices.list[0].0.clone(), devices.list[1].0.clone());
            (devices.list[0].0, devices.list[1].0) = (second, first);
        });
        assert!(swapped.message.contains("number 1 of 3"), "{swapped:?}");
        let gone = place.0.join("none");
        assert_eq!(with(&|devices| devices.list[2].0.clone_from(&gone)).der, Der::Nonexist);
        File::create(&gone).unwrap().set_len(SIZE_MIN).unwrap();
        assert_eq!(with(&|devices| devices.list[2].0.clone_from(&gone)).der, Der::Uninit);
        assert_eq!(inspect_device(&gone).unwrap(), None);
        let held = place.open(&devices).unwrap();
        let other = System::open(
            &place.0.join("other"),
            &Options { devices: Some(devices.clone()), ..Options::default() },
        );
        assert_eq!(other.unwrap_err().der, Der::Busy);
        assert_eq!(inspect_device(&devices.list[1].0).unwrap().unwrap().0.index, 1);
        held.close().unwrap();
        drop(held);
        place.open(&devices).unwrap().close().unwrap();
    }

    #[test]
    fn devices_with_pools_outlive_a_directory_that_was_lost_and_others_are_begun_anew() {
        let place = Place::new("lost");
        let devices = place.devices(&[Roles::DATA, Roles::META.and(Roles::WAL)]);
        place.open(&devices).unwrap().close().unwrap();
        std::fs::remove_dir_all(place.0.join("system")).unwrap();
        let system = place.open(&devices).unwrap();
        system.pool_shards_create(PoolId([1; 16])).unwrap();
        system.close().unwrap();
        drop(system);
        std::fs::remove_dir_all(place.0.join("system")).unwrap();
        let refused = place.open(&devices).unwrap_err();
        assert!(refused.der == Der::DfInval && refused.message.contains("holds a store"), "{refused:?}");
    }
}
