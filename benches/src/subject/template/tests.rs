#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;

#[test]
fn a_command_is_words_with_places_in_them() {
    let template = Template::parse("next=/opt/next run --config={config_dir} --hbone {hbone}").unwrap();
    assert_eq!(template.name, "next");
    assert_eq!(
        template.words,
        ["/opt/next", "run", "--config={config_dir}", "--hbone", "{hbone}"]
    );
    let values = [("config_dir", "/tmp/x".to_owned()), ("hbone", "127.0.0.1:1".to_owned())];
    assert_eq!(
        fill("--config={config_dir},{hbone}", &values),
        "--config=/tmp/x,127.0.0.1:1"
    );
    assert_eq!(fill("{other}", &values), "{other}");
}

#[test]
fn what_is_no_command_is_refused() {
    for bad in ["", "x", "x=", "=cmd", "a b=cmd"] {
        assert!(Template::parse(bad).is_err(), "{bad}");
    }
}
