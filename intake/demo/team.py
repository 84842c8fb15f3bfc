"""Who works at the demo's company: the logins, the CSMs, and which accounts they hold when."""

from __future__ import annotations

from intake.demo.calendar import Calendar
from intake.demo.life import Holding
from intake.demo.stories import PLACES, Story
from intake.demo.words import words
from team.models import Team, User

PASSWORD = "demo-password-1"  # noqa: S105 - printed at the end of the command, for a demo only
ADMIN = ("admin@demo.local", "Ines Moreau")
MANAGER = ("manager@demo.local", "Henrik Solberg")
CSM = "csm@demo.local"
HELD_BY_EACH = 60
CSMS_IN_A_TEAM = 8
HANDED_OVER_DAYS_AGO = 340


class Staff:
    """The people of the demo; the first CSM is csm@demo.local and holds some 60 accounts."""

    def __init__(self, accounts: int) -> None:
        self.named = len(words()["csms"])
        more = max(0, accounts - PLACES)
        self.size = self.named + -(-more // HELD_BY_EACH)
        self.ids: list[int] = []
        self.former = 0

    def hire(self) -> None:
        """Make the users who are not there yet; those who are keep their password."""
        teams = [Team.objects.get_or_create(name=name)[0] for name in words()["teams"]]
        _user(ADMIN[0], ADMIN[1], User.Role.ADMIN, None, PASSWORD)
        _user(MANAGER[0], MANAGER[1], User.Role.MANAGER, teams[0], PASSWORD)
        for number, row in enumerate(words()["csms"]):
            email = CSM if number == 0 else f"csm{number + 1}@demo.local"
            password = PASSWORD if number == 0 else None
            user = _user(email, row["name"], User.Role.CSM, teams[row["team"]], password)
            self.ids.append(user.pk)
        row = words()["former_csm"]
        former = _user("former-csm@demo.local", row["name"], User.Role.CSM, teams[row["team"]], None)
        if former.is_active:
            former.is_active = False
            former.save(update_fields=["is_active"])
        self.former = former.pk
        self._hire_more()

    def _hire_more(self) -> None:
        """A large company has a CSM for every 60 accounts, without a login of their own."""
        culture = words().cultures["english"]
        emails = [f"csm{number + 1}@demo.local" for number in range(self.named, self.size)]
        known = set(User.objects.filter(email__in=emails).values_list("email", flat=True))
        new = []
        for number, email in enumerate(emails):
            if email not in known:
                first = culture.first_names[number % len(culture.first_names)]
                last = culture.last_names[number // 3 % len(culture.last_names)]
                team, _ = Team.objects.get_or_create(name=f"Team {number // CSMS_IN_A_TEAM + 1}")
                user = User(email=email, name=f"{first} {last}", team=team)
                user.set_unusable_password()
                new.append(user)
        User.objects.bulk_create(new, batch_size=500)
        ids = dict(User.objects.filter(email__in=emails).values_list("email", "pk"))
        self.ids += [ids[email] for email in emails]

    def number_of(self, story: Story) -> int:
        """Return who holds the account today: a good third of the first 200 goes to csm@."""
        if story.number >= PLACES:
            return self.named + (story.number - PLACES) // HELD_BY_EACH
        if story.place % 14 in (0, 3, 6, 9, 12):
            return 0
        return 1 + story.place % (self.named - 1)

    def neighbour_of(self, story: Story) -> int:
        return self.ids[(self.number_of(story) + 1) % self.named]

    def holdings(self, story: Story, calendar: Calendar) -> list[Holding]:
        """Return who held the account when, the oldest first."""
        user = self.ids[self.number_of(story)]
        spells = [Holding(user, story.joined, None if story.left is None else story.left + 30)]
        if story.back is not None and story.left is not None:
            spells.append(Holding(user, max(story.left + 30, story.back - 40), None))
        handed_over = calendar.end - HANDED_OVER_DAYS_AGO
        held = spells[0]
        # One CSM left the company in the middle: hers went to two colleagues.
        if (
            story.number < PLACES
            and story.place % 7 in (3, 5)
            and held.start < handed_over - 30
            and (held.end is None or held.end > handed_over + 30)
        ):
            spells[:1] = [
                Holding(self.former, held.start, handed_over),
                Holding(user, handed_over, held.end),
            ]
        return spells


def _user(email: str, name: str, role: str, team: Team | None, password: str | None) -> User:
    known = User.objects.filter(email=email).first()
    return known or User.objects.create_user(email, password, name=name, role=role, team=team)
