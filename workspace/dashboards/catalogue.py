"""Every dashboard there is, in the order of the tabs."""

from __future__ import annotations

from workspace.dashboards.blocks import Breakdown, Counts, Course, Part, PerGroup, Waterfall
from workspace.dashboards.definition import Dashboard, Pick, Section, Tile

_YEAR = 12

_MRR = Tile(kpi="mrr", label="MRR")
_NRR = Tile(kpi="nrr", months=_YEAR, label="Net revenue retention")
_GRR = Tile(kpi="grr", months=_YEAR, label="Gross revenue retention", tone="violet")
_CHURN = Tile(kpi="customer_churn_rate", label="Customer churn", tone="red")
_NPS = Tile(kpi="nps", label="NPS", tone="teal")

_MOVEMENTS = Counts(
    title="What moved it, month by month",
    pick=Pick(kpi="net_new_mrr"),
    is_money=True,
    is_wide=True,
    parts=(
        Part("new", "New", "accent"),
        Part("expansion", "Expansion", "green"),
        Part("reactivation", "Reactivation", "teal"),
        Part("contraction", "Contraction", "yellow", -1),
        Part("churned", "Churned", "red", -1),
    ),
)

EXECUTIVE = Dashboard(
    slug="executive",
    label="Executive",
    intro="Whether the business keeps and grows its customers.",
    sections=(
        Section(
            key="figures",
            tiles=(
                _MRR,
                _NRR,
                _GRR,
                _CHURN,
                Tile(kpi="customer_count"),
                Tile(kpi="arpa", label="Revenue per account"),
                Tile(kpi="quick_ratio", tone="green"),
                _NPS,
            ),
        ),
        Section(
            key="courses",
            title="The last twelve months",
            blocks=(
                Course(title="Retention of revenue", picks=(_NRR, _GRR)),
                Course(title="Recurring revenue", picks=(Pick(kpi="mrr", label="MRR"),)),
                Course(title="Customer churn", picks=(_CHURN,), tones=("red",)),
                Course(title="Net Promoter Score", picks=(_NPS,), tones=("teal",)),
            ),
        ),
        Section(
            key="moved",
            title="What moved the money",
            blocks=(Waterfall(title="From opening to closing", is_wide=True),),
        ),
    ),
)

REVENUE = Dashboard(
    slug="revenue",
    label="Revenue",
    intro="Where recurring revenue comes from, what moved it, and who stays.",
    sections=(
        Section(
            key="figures",
            tiles=(
                _MRR,
                Tile(kpi="net_new_mrr", label="Net new MRR", tone="green"),
                Tile(kpi="nrr", label="NRR in the period"),
                Tile(kpi="grr", label="GRR in the period", tone="violet"),
                Tile(kpi="revenue_churn_rate", label="Revenue churn", tone="red"),
                _NRR,
                _GRR,
                Tile(kpi="quick_ratio", tone="green"),
            ),
        ),
        Section(
            key="movements",
            title="What moved",
            blocks=(Waterfall(title="From opening to closing", is_wide=True), _MOVEMENTS),
        ),
        Section(
            key="groups",
            title="Where it stands",
            blocks=(
                Breakdown(title="MRR by segment", pick=Pick(kpi="mrr", label="MRR"), group_by="segment"),
                Breakdown(
                    title="MRR by plan", pick=Pick(kpi="mrr", label="MRR"), group_by="plan", tone="violet"
                ),
                Breakdown(title="Net retention by segment", pick=_NRR, group_by="segment"),
                Breakdown(title="Net retention by plan", pick=_NRR, group_by="plan", tone="violet"),
            ),
        ),
    ),
)

VOICE = Dashboard(
    slug="voice",
    label="Voice",
    intro="What customers say, how many of them, and how sure we can be.",
    sections=(
        Section(
            key="figures",
            tiles=(
                _NPS,
                Tile(kpi="csat", tone="green"),
                Tile(kpi="ces", tone="violet"),
                Tile(kpi="ces", variant="share", label="Found it easy", tone="violet"),
            ),
        ),
        Section(
            key="courses",
            title="The last twelve months",
            blocks=(
                Course(title="Net Promoter Score", picks=(_NPS,), tones=("teal",)),
                Counts(
                    title="Who promotes and who detracts",
                    pick=Pick(kpi="nps"),
                    parts=(
                        Part("detractors", "Detractors", "red"),
                        Part("passives", "Passives", "grey"),
                        Part("promoters", "Promoters", "green"),
                    ),
                ),
                Course(title="Satisfaction", picks=(Pick(kpi="csat"),), tones=("green",)),
                Course(title="Effort", picks=(Pick(kpi="ces"),), tones=("violet",)),
            ),
        ),
        Section(
            key="groups",
            title="Who says so",
            blocks=(
                Breakdown(title="NPS by segment", pick=_NPS, group_by="segment", tone="teal"),
                Breakdown(title="NPS by plan", pick=_NPS, group_by="plan", tone="teal"),
            ),
        ),
    ),
)

SUPPORT = Dashboard(
    slug="support",
    label="Support",
    intro="How much help customers need, and how soon and how well they get it.",
    sections=(
        Section(
            key="figures",
            tiles=(
                Tile(kpi="tickets_received"),
                Tile(kpi="ticket_backlog", tone="red"),
                Tile(kpi="first_contact_resolution_rate", tone="green"),
                Tile(
                    kpi="first_contact_resolution_rate",
                    variant="immediate",
                    label="Closed after one interaction",
                    tone="green",
                ),
            ),
        ),
        Section(
            key="courses",
            title="Day by day",
            blocks=(
                Course(title="Received", picks=(Pick(kpi="tickets_received"),), kind="stacked", is_fine=True),
                Course(title="Waiting", picks=(Pick(kpi="ticket_backlog"),), tones=("red",), is_fine=True),
            ),
        ),
    ),
)

ADOPTION = Dashboard(
    slug="adoption",
    label="Adoption",
    intro="Who uses the product, how often, and which of what they pay for.",
    sections=(
        Section(
            key="figures",
            tiles=(
                Tile(kpi="daily_active_users"),
                Tile(kpi="weekly_active_users"),
                Tile(kpi="monthly_active_users"),
                Tile(kpi="license_utilization", tone="green"),
            ),
        ),
        Section(
            key="courses",
            title="The last twelve months",
            blocks=(
                Course(
                    title="Active users",
                    picks=(
                        Pick(kpi="monthly_active_users", label="In 30 days"),
                        Pick(kpi="weekly_active_users", label="In 7 days"),
                        Pick(kpi="daily_active_users", label="On the last day"),
                    ),
                ),
                Course(
                    title="Licence utilisation", picks=(Pick(kpi="license_utilization"),), tones=("green",)
                ),
            ),
        ),
        Section(
            key="groups",
            title="Where seats stand empty",
            blocks=(
                Breakdown(
                    title="Licence utilisation by plan",
                    pick=Pick(kpi="license_utilization"),
                    group_by="plan",
                    tone="green",
                ),
                Breakdown(
                    title="Licence utilisation by segment",
                    pick=Pick(kpi="license_utilization"),
                    group_by="segment",
                    tone="green",
                ),
            ),
        ),
    ),
)

TEAM = Dashboard(
    slug="team",
    label="Team",
    intro="What each CSM looks after, and how their accounts do.",
    sections=(
        Section(
            key="csms",
            blocks=(
                PerGroup(
                    title="By CSM",
                    group_by="csm",
                    corner="CSM",
                    picks=(
                        Pick(kpi="customer_count", label="Customers"),
                        Pick(kpi="mrr", label="MRR"),
                        Pick(kpi="net_new_mrr", label="Net new MRR"),
                        Pick(kpi="nrr", months=_YEAR, label="NRR, 12 months"),
                        Pick(kpi="customer_churn_rate", label="Churn"),
                        Pick(kpi="nps", label="NPS"),
                        Pick(kpi="ticket_backlog", label="Open tickets"),
                    ),
                ),
            ),
        ),
    ),
)

CSM = Dashboard(
    slug="csm",
    label="CSM",
    intro="One CSM's own accounts.",
    is_of_one_csm=True,
    sections=(
        Section(
            key="figures",
            tiles=(_MRR, Tile(kpi="customer_count"), _NRR, _GRR, _CHURN, _NPS),
        ),
        Section(
            key="courses",
            title="The last twelve months",
            blocks=(
                Course(title="Recurring revenue", picks=(Pick(kpi="mrr", label="MRR"),)),
                Course(title="Retention of revenue", picks=(_NRR, _GRR)),
            ),
        ),
        Section(
            key="moved",
            title="What moved the money",
            blocks=(Waterfall(title="From opening to closing", is_wide=True),),
        ),
    ),
)

DASHBOARDS = {
    dashboard.slug: dashboard for dashboard in (EXECUTIVE, REVENUE, VOICE, SUPPORT, ADOPTION, TEAM, CSM)
}
