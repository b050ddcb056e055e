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
        self._affordable({row.patient for row in rows_of(self._home, "train")})

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
        self._affordable(patients)
        return self._ledger.reserve(
            self._privacy,
            mechanism_of(self._privacy),
            self._with_aliases(patients),
            request,
            run,
            this_round,
        )

    def _affordable(self, patients: Collection[str]) -> None:
        """Raise `PolicyRefused` unless enough of the patients can pay for a round."""
        privacy, count = self._privacy, len(set(patients))
        self._policy.require_at_least("patients", count, "min_training_patients")
        if count and privacy.delta >= 1 / count:
            raise PolicyRefused(
                f"policy.dp.delta = {privacy.delta:g} is not below 1/{count}, one over the number "
                "of training patients: it would allow the data of one patient to be published",
                f"Set policy.dp.delta to {0.5 / count:.1g} or less in site.toml",
            )
        mechanism = mechanism_of(privacy)
        affordable = self._ledger.affordable(privacy, mechanism, self._with_aliases(patients))
        least = self._policy.min_training_patients
        if len(affordable) < least:
            raise PolicyRefused(
                f"the privacy budget is spent: {len(affordable)} of {count} training patients have "
                f"enough left for another round (policy.dp.epsilon = {privacy.epsilon:g}, "
                f"policy.min_training_patients = {least})",
                "Ingest recordings of new patients, who bring a budget of their own; "
                "`ecgfl privacy` shows what each cohort has spent",
            )

    def _with_aliases(self, patients: Collection[str]) -> Patients:
        with open_catalogue(self._home.catalogue) as catalogue:
            aliases = catalogue.aliases()
        return {patient: aliases.get(patient, set()) for patient in patients}
