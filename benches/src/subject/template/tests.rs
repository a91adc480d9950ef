#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;

#[test]
fn a_command_is_words_with_places_in_them() {
    let template = Template::parse("next=/opt/next run --config={config_dir} --hbone {hbone}").unwrap();
    assert_eq!(template.name, "next");
    assert!(!template.takes_workers());
    assert!(Template::parse("next=x --workers={workers}").unwrap().takes_workers());
    assert_eq!(
        template.words,
        ["/opt/next", "run", "--config={config_dir}", "--hbone", "{hbone}"]
    );
    let value = |name: &str| (name != "other").then(|| format!("<{name}>"));
    assert_eq!(
        fill("--config={config_dir},{hbone}", value).unwrap(),
        "--config=<config_dir>,<hbone>"
    );
    assert_eq!(fill("{\"a\":{hbone}}{", value).unwrap(), "{\"a\":<hbone>}{");
    assert!(
        fill("{other}", value)
            .unwrap_err()
            .contains("{other}: expected one of config_dir")
    );
}

#[test]
fn what_is_no_command_is_refused() {
    for bad in ["", "x", "x=", "=cmd", "a b=cmd", "x=cmd {hbone_addr}"] {
        assert!(Template::parse(bad).is_err(), "{bad}");
    }
}
