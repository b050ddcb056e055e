"""The privacy budget of a site as its policy sees it."""

from collections.abc import Collection

from ecgfl_cli.errors import PolicyRefused
from ecgfl_cli.site.home import Home
from ecgfl_cli.site.policy import Policy
from ecgfl_cli.site.privacy_policy import PrivacyPolicy
from ecgfl_cli.store.catalogue import open_catalogue
from ecgfl_cli.training.dataset import rows_of
from ecgfl_cli.training.ledger.accounting import Mechanism
from ecgfl_cli.training.ledger.ledger import Patients, PrivacyLedger


def patients_known(home: Home) -> set[str]:
    """Return the pseudonyms of all patients in the store, with those that they had before."""
    with open_catalogue(home.catalogue) as catalogue:
        rows, aliases = catalogue.rows(), catalogue.aliases()
    return {row.patient for row in rows}.union(aliases, *aliases.values())


def mechanism_of(privacy: PrivacyPolicy) -> Mechanism:
    """Return what a round costs."""
    return Mechanism(
        noise_multiplier=privacy.noise_multiplier, sampling=privacy.sampling, steps=privacy.steps
    )


class PrivacyBudget:
    """Reserves trainings within the policy.

    Parameters
    ----------
    home : Home
        Home of the site.
    policy : Policy
        Its policy, with differential privacy.
    """

    def __init__(self, home: Home, policy: Policy) -> None:
        assert policy.dp is not None
        self._home = home
        self._policy = policy
        self._privacy = policy.dp
        self._ledger = PrivacyLedger(home)

    def require(self) -> None:
        """Check that another round can be paid for.

        Raises
        ------
        PolicyRefused
            Delta is too large, or too few patients have budget left.
        UnusableInput
            The ledger is damaged, lost or older than the audit log says.
        """
        patients = {row.patient for row in rows_of(self._home, "train")}
        self._require_small_delta(len(patients))
        self._ledger.require(
            self._privacy,
            mechanism_of(self._privacy),
            self._with_aliases(patients),
            self._policy.min_training_patients,
        )

    def reserve(
        self, patients: Collection[str], request: str, run: str, this_round: int
    ) -> set[str]:
        """Reserve a round in the ledger, and return the patients that may be trained on.

        Parameters
        ----------
        patients : collection of str
            Pseudonyms of all training patients.
        request, run, this_round
            For which request.

        Raises
        ------
        PolicyRefused, UnusableInput
            As in `require`. Nothing is spent.
        """
        self._require_small_delta(len(set(patients)))
        return self._ledger.reserve(
            self._privacy,
            mechanism_of(self._privacy),
            self._with_aliases(patients),
            request,
            run,
            this_round,
            self._policy.min_training_patients,
        )

    def _require_small_delta(self, count: int) -> None:
        """Raise `PolicyRefused` unless there are enough patients, and delta suits their number."""
        self._policy.require_at_least("patients", count, "min_training_patients")
        if self._privacy.delta >= 1 / count:
            raise PolicyRefused(
                f"policy.dp.delta = {self._privacy.delta:g} is not below 1/{count}, one over the "
                "number of training patients: it would allow the data of one patient to be "
                "published",
                f"Set policy.dp.delta to {0.5 / count:.1g} or less in site.toml",
            )

    def _with_aliases(self, patients: Collection[str]) -> Patients:
        with open_catalogue(self._home.catalogue) as catalogue:
            aliases = catalogue.aliases()
        return {patient: aliases.get(patient, set()) for patient in patients}
