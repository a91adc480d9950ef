//! The Gateway controller: what must exist in the cluster for a Gateway of our class, and what its status says.
//!
//! Everything here is a function of objects to objects, without a socket: [`Gateway::parse`] reads one, [`desired`] says
//! what belongs to it, [`overlay::apply`] puts the owner's wishes on top, [`status::gateway`] tells the truth about it.

pub mod desired;
mod gateway;
pub mod overlay;
mod settings;
pub mod status;

pub use gateway::{Gateway, Listener, NotAGateway};
pub use settings::{CLASS_NAME, CONTROLLER_NAME, Settings};
