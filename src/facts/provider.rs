//! The providers whose events are read.

use uuid::Uuid;

/// The providers whose events are selected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Provider {
    /// `Microsoft-Windows-AAD`: the sign-in plug-in and the token broker.
    Aad,
    /// `Microsoft-Windows-User Device Registration`.
    DeviceRegistration,
}

impl Provider {
    /// Both providers.
    pub const ALL: [Provider; 2] = [Provider::Aad, Provider::DeviceRegistration];

    /// The name it is registered under.
    pub const fn name(self) -> &'static str {
        match self {
            Provider::Aad => "Microsoft-Windows-AAD",
            Provider::DeviceRegistration => "Microsoft-Windows-User Device Registration",
        }
    }

    /// The GUID it is registered under.
    pub const fn guid(self) -> Uuid {
        match self {
            Provider::Aad => Uuid::from_u128(0x4de9bc9c_b27a_43c9_8994_0915f1a5e24f),
            Provider::DeviceRegistration => Uuid::from_u128(0x23b8d46b_67dd_40a3_b636_d43e50552c6d),
        }
    }
}
