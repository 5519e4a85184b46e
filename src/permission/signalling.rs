//! Signalling: may this process be sent a signal?
//!
//! Only one whose command line `allow.signal` of `homeostat.yaml` names, word for word as in `allow.run`; `*` is exactly
//! one word. A process writes its own command line, so the first word need not be a path; nobody can write another's, so
//! what is named is what was meant. Which processes are beyond reach whatever is allowed, `hands::signal_process` says.

use super::{Denied, Permission};

impl Permission {
    /// Checks that a process with this command line may be signalled.
    pub fn may_signal(&self, line: &[String]) -> Result<(), Denied> {
        if self.signals.iter().any(|allowed| allowed.matches(line)) {
            return Ok(());
        }
        let said = line.join(" ");
        Err(Denied::forbidden(format!(
            "signalling `{said}` is not allowed by `allow: {{ signal: [...] }}` of homeostat.yaml"
        )))
    }

    /// Checks that there is any process at all that may be signalled: for checking rules at load.
    pub fn may_signal_any(&self) -> Result<(), Denied> {
        if self.signals.is_empty() {
            let none = "homeostat.yaml allows no process to be signalled";
            return Err(Denied::forbidden(none));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::permission::{Denied, Permission, Settings, settings::Allow};

    fn permission(signal: &[&str]) -> Result<Permission, Denied> {
        let settings = Settings {
            allow: Allow {
                signal: signal.iter().map(|pattern| (*pattern).to_owned()).collect(),
                run: vec!["/opt/other".to_owned()],
                ..Allow::default()
            },
            ..Settings::default()
        };
        Permission::new(std::path::Path::new("."), settings)
    }

    #[test]
    fn only_what_is_allowed_word_for_word() {
        let may =
            permission(&["/opt/bot --fast *", "'nginx: worker process'"]).expect("understood");
        for (line, allowed) in [
            (&["/opt/bot", "--fast", "x y"][..], true),
            (&["nginx: worker process"], true),
            (&["/opt/bot", "--fast"], false),
            (&["/opt/bot", "--slow", "x"], false),
            (&["/opt/bot", "--fast", "x", "y"], false),
            (&["nginx:", "worker", "process"], false),
            (&["/opt/other"], false),
            (&[], false),
        ] {
            let line: Vec<String> = line.iter().map(|word| (*word).to_owned()).collect();
            assert_eq!(may.may_signal(&line).is_ok(), allowed, "{line:?}");
        }
        assert!(may.may_signal_any().is_ok());
        let none = permission(&[]).expect("understood");
        assert!(none.may_signal_any().is_err(), "none by default");
        assert!(none.may_signal(&["/opt/other".to_owned()]).is_err());
    }

    #[test]
    fn a_pattern_that_is_not_understood_is_an_error() {
        for pattern in ["", "*", "* x", "bot 'open", "bot --n=*"] {
            let error = permission(&[pattern]).err().expect(pattern).told();
            assert!(error.starts_with("allow.signal: "), "{error}");
        }
    }
}
