//! The Gateway controller: what must exist in the cluster for a Gateway of our class, and what its status says.
//!
//! Everything here is a function of objects to objects, without a socket: [`Gateway::parse`] reads one, [`wanted::objects`]
//! says what belongs to it with the owner's wishes on top, [`ours`] what may be touched, [`status`] and [`verdicts`] tell
//! the truth about it, [`Election`] says who of several controllers acts. `waypoint controller` does what they say.

pub mod binding;
pub mod class;
mod conditions;
pub mod desired;
mod election;
mod gateway;
pub mod ours;
pub mod overlay;
mod settings;
pub mod status;
pub mod verdicts;
pub mod wanted;

pub use conditions::Condition;
pub use election::Election;
pub use gateway::{Gateway, Listener, NotAGateway};
pub use settings::{CLASS_NAME, CONTROLLER_NAME, Settings};
