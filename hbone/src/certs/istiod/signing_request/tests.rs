#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
use super::*;
use rustls::pki_types::CertificateSigningRequestDer;
use rustls::pki_types::pem::PemObject;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::FromDer;

#[test]
fn it_asks_for_our_id_with_a_key_of_its_own() {
    let id = SpiffeId::parse("spiffe://cluster.local/ns/ns/sa/waypoint").unwrap();
    let (one, other) = (Request::new(&id).unwrap(), Request::new(&id).unwrap());
    assert_ne!(one.key, other.key);
    let message = IstioCertificateRequest::decode(one.message.as_slice()).unwrap();
    assert_eq!(message.validity_duration, 24 * 3600);
    let der = CertificateSigningRequestDer::from_pem_slice(message.csr.as_bytes()).unwrap();
    let (_, csr) = X509CertificationRequest::from_der(&der).unwrap();
    let mut names = csr
        .requested_extensions()
        .unwrap()
        .filter_map(|extension| match extension {
            ParsedExtension::SubjectAlternativeName(names) => Some(&names.general_names),
            _ => None,
        });
    assert_eq!(names.next().unwrap().as_slice(), [GeneralName::URI(id.as_str())]);
    assert_eq!(csr.certification_request_info.subject.iter().count(), 0);
}
