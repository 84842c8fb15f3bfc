"""Every dashboard there is, in the order of the tabs."""

from __future__ import annotations

from workspace.dashboards.blocks import (
    Breakdown,
    Cohorts,
    Counts,
    Course,
    ForecastAndOutcome,
    LargestMovements,
    Part,
    PerGroup,
    Waterfall,
)
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

_WATERFALL = Waterfall(title="From opening to closing", pick=Pick(kpi="mrr"), is_wide=True)

_HEALTH = Tile(kpi="average_health", label="Average health", tone="green")
_MRR_AT_RISK = Tile(kpi="mrr_at_risk", label="MRR at risk", tone="red")

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
                _HEALTH,
                _MRR_AT_RISK,
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
                Course(
                    title="Health",
                    picks=(
                        Pick(kpi="average_health", label="Each customer the same"),
                        Pick(kpi="average_health", variant="mrr", label="Weighted by MRR"),
                    ),
                    tones=("green", "accent"),
                ),
                Counts(
                    title="Customers by health",
                    pick=Pick(kpi="average_health"),
                    parts=(
                        Part("green", "Healthy", "green"),
                        Part("yellow", "Watch", "yellow"),
                        Part("red", "At risk", "red"),
                    ),
                ),
            ),
        ),
        Section(
            key="moved",
            title="What moved the money",
            blocks=(_WATERFALL, LargestMovements(title="Largest movements", is_wide=True)),
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
            blocks=(
                _WATERFALL,
                _MOVEMENTS,
                Waterfall(title="From last year’s customers to net retention", pick=_NRR, is_wide=True),
            ),
        ),
        Section(
            key="cohorts",
            title="Who stays",
            blocks=(
                Cohorts(
                    title="Revenue kept, by month of joining",
                    pick=Pick(kpi="cohort_retention", variant="mrr", months=_YEAR),
                ),
            ),
        ),
        Section(
            key="value",
            title="What a customer brings and costs",
            tiles=(
                Tile(kpi="clv", months=_YEAR, has_course=False),
                Tile(
                    kpi="clv",
                    variant="predictive",
                    months=_YEAR,
                    label="Lifetime value, predicted",
                    has_course=False,
                ),
                Tile(
                    kpi="customer_retention_cost",
                    months=_YEAR,
                    label="Cost of keeping one",
                    has_course=False,
                ),
                Tile(kpi="retention_margin", months=_YEAR, label="Margin per customer", has_course=False),
            ),
        ),
        Section(
            key="renewals",
            title="Renewals",
            tiles=(
                Tile(kpi="renewal_rate", label="Contracts renewed", tone="green", has_course=False),
                Tile(kpi="gross_renewal_rate", label="Gross renewal", tone="green", has_course=False),
                Tile(kpi="net_renewal_rate", label="Net renewal", tone="green", has_course=False),
                Tile(kpi="committed_mrr", label="Committed MRR", has_course=False),
            ),
            blocks=(
                ForecastAndOutcome(
                    title="Renewals: forecast and outcome",
                    pick=Pick(kpi="renewal_forecast", label="Open now"),
                    said=("forecast", "90 days before", "violet"),
                    came=("value_kept", "Outcome", "green"),
                    is_wide=True,
                ),
                Breakdown(
                    title="Contracts renewed by segment",
                    pick=Pick(kpi="renewal_rate"),
                    group_by="segment",
                    tone="green",
                ),
                Breakdown(
                    title="Net renewal by segment",
                    pick=Pick(kpi="net_renewal_rate"),
                    group_by="segment",
                    tone="green",
                ),
            ),
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
        Section(
            key="largest",
            title="In detail",
            blocks=(LargestMovements(title="Largest movements", is_wide=True),),
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
                Tile(kpi="nps_account", label="NPS, one vote an account", tone="teal"),
                Tile(kpi="response_rate"),
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
                Course(title="Response rate", picks=(Pick(kpi="response_rate"),)),
                Counts(
                    title="Who was asked and who answered",
                    pick=Pick(kpi="response_rate"),
                    parts=(
                        Part("answered", "Answered", "accent"),
                        Part("bounced", "Bounced", "red"),
                    ),
                ),
            ),
        ),
        Section(
            key="groups",
            title="Who says so",
            blocks=(
                Breakdown(title="NPS by segment", pick=_NPS, group_by="segment", tone="teal"),
                Breakdown(title="NPS by plan", pick=_NPS, group_by="plan", tone="teal"),
                Breakdown(title="NPS by survey", pick=_NPS, group_by="survey", tone="teal"),
                Breakdown(
                    title="Satisfaction by survey", pick=Pick(kpi="csat"), group_by="survey", tone="green"
                ),
            ),
        ),
    ),
)

_FCR = Tile(kpi="first_contact_resolution_rate", label="First-contact resolution", tone="green")
_FCR_NOW = Tile(
    kpi="first_contact_resolution_rate", variant="immediate", label="Closed after one reply", tone="green"
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
                Tile(kpi="tickets_closed"),
                Tile(kpi="ticket_backlog", tone="red"),
                Tile(kpi="reopen_rate", tone="red"),
                _FCR,
                _FCR_NOW,
                Tile(kpi="first_response_time", label="First response, median", tone="violet"),
                Tile(kpi="resolution_time", label="Resolution, median", tone="violet"),
                Tile(
                    kpi="first_response_time", variant="p90", label="First response, 90 %", has_course=False
                ),
                Tile(kpi="resolution_time", variant="p90", label="Resolution, 90 %", has_course=False),
                Tile(kpi="in_time_rate", variant="response", label="Answered in time", has_course=False),
                Tile(kpi="in_time_rate", variant="resolution", label="Resolved in time", has_course=False),
            ),
        ),
        Section(
            key="days",
            title="Day by day",
            blocks=(
                Course(
                    title="Received and closed",
                    picks=(
                        Pick(kpi="tickets_received", label="Received"),
                        Pick(kpi="tickets_closed", label="Closed"),
                    ),
                    tones=("accent", "green"),
                    is_fine=True,
                    is_wide=True,
                ),
            ),
        ),
        Section(
            key="courses",
            title="The last twelve months",
            blocks=(
                Course(
                    title="Resolved on first contact",
                    picks=(_FCR, _FCR_NOW),
                    tones=("green", "accent"),
                ),
                Course(
                    title="Time to the first response",
                    picks=(
                        Pick(kpi="first_response_time", label="Median"),
                        Pick(kpi="first_response_time", variant="p90", label="90 % within"),
                    ),
                ),
                Course(
                    title="Time to the resolution",
                    picks=(
                        Pick(kpi="resolution_time", label="Median"),
                        Pick(kpi="resolution_time", variant="p90", label="90 % within"),
                    ),
                ),
                Course(title="Waiting at the end", picks=(Pick(kpi="ticket_backlog"),), tones=("red",)),
                Course(title="Reopened", picks=(Pick(kpi="reopen_rate"),), tones=("red",)),
            ),
        ),
        Section(
            key="groups",
            title="By agent, priority and category",
            blocks=(
                PerGroup(
                    title="By agent",
                    group_by="agent",
                    corner="Agent",
                    picks=(
                        Pick(kpi="tickets_received", label="Received"),
                        Pick(kpi="tickets_closed", label="Closed"),
                        Pick(kpi="ticket_backlog", label="Waiting"),
                        Pick(kpi="first_response_time", label="First response"),
                        Pick(kpi="resolution_time", label="Resolution"),
                        Pick(kpi="first_contact_resolution_rate", label="First contact"),
                        Pick(kpi="reopen_rate", label="Reopened"),
                    ),
                ),
                Breakdown(
                    title="Received by priority", pick=Pick(kpi="tickets_received"), group_by="priority"
                ),
                Breakdown(
                    title="Received by category", pick=Pick(kpi="tickets_received"), group_by="category"
                ),
            ),
        ),
    ),
)

_STICKINESS = Tile(kpi="stickiness", tone="violet")
_USERS_KEPT = Tile(kpi="user_retention_rate", label="Users who came back", tone="teal")
_SEATS_USED = Tile(kpi="license_utilization", tone="green")

ADOPTION = Dashboard(
    slug="adoption",
    label="Adoption",
    intro="Who uses the product, how often, and which of what they pay for.",
    sections=(
        Section(
            key="figures",
            tiles=(
                Tile(kpi="monthly_active_users"),
                _STICKINESS,
                _USERS_KEPT,
                _SEATS_USED,
                Tile(kpi="weekly_active_users", has_course=False),
                Tile(kpi="feature_adoption", has_course=False),
                Tile(kpi="adoption_breadth", has_course=False),
                Tile(kpi="license_utilization", variant="unused", label="Unused seats", has_course=False),
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
                    ),
                ),
                Course(title="Licence utilisation", picks=(_SEATS_USED,), tones=("green",)),
                Course(title="Stickiness", picks=(_STICKINESS,), tones=("violet",)),
                Course(title="Users who came back", picks=(_USERS_KEPT,), tones=("teal",)),
            ),
        ),
        Section(
            key="features",
            title="What they use",
            blocks=(
                Breakdown(
                    title="Feature adoption",
                    pick=Pick(kpi="feature_adoption"),
                    group_by="feature",
                    tone="violet",
                    is_wide=True,
                ),
            ),
        ),
        Section(
            key="groups",
            title="Where seats stand empty",
            blocks=(
                Breakdown(
                    title="Licence utilisation by plan", pick=_SEATS_USED, group_by="plan", tone="green"
                ),
                Breakdown(
                    title="Licence utilisation by segment", pick=_SEATS_USED, group_by="segment", tone="green"
                ),
            ),
        ),
    ),
)

_TIME_TO_VALUE = Tile(kpi="time_to_value", months=_YEAR, tone="violet")
_ONBOARDING_TIME = Tile(kpi="onboarding_time", months=_YEAR, tone="violet")

ONBOARDING = Dashboard(
    slug="onboarding",
    label="Onboarding",
    intro="How new customers begin, how soon they get what they came for, and what it brings them.",
    sections=(
        Section(
            key="figures",
            tiles=(
                Tile(kpi="onboarding_completion_rate", tone="green"),
                Tile(
                    kpi="onboarding_completion_rate",
                    variant="on_time",
                    label="Completed on time",
                    tone="green",
                ),
                _ONBOARDING_TIME,
                _TIME_TO_VALUE,
                Tile(kpi="tutorial_visits"),
                Tile(kpi="referrals", tone="teal"),
            ),
        ),
        Section(
            key="courses",
            title="The last twelve months",
            blocks=(
                Course(
                    title="Onboarding completed",
                    picks=(
                        Pick(kpi="onboarding_completion_rate", label="Completed by now"),
                        Pick(kpi="onboarding_completion_rate", variant="on_time", label="On time"),
                    ),
                    tones=("green", "accent"),
                ),
                Course(title="Median days", picks=(_ONBOARDING_TIME, _TIME_TO_VALUE)),
                Counts(
                    title="Of those who started, who got there",
                    pick=_TIME_TO_VALUE,
                    parts=(
                        Part("reached", "Reached it", "green"),
                        Part("not_yet", "Not yet", "grey"),
                    ),
                ),
                Course(
                    title="Tutorial visits per account",
                    picks=(Pick(kpi="tutorial_visits"),),
                    tones=("violet",),
                ),
            ),
        ),
        Section(
            key="groups",
            title="Who gets there",
            blocks=(
                Breakdown(
                    title="Time to value by segment", pick=_TIME_TO_VALUE, group_by="segment", tone="violet"
                ),
                Breakdown(
                    title="Time to value by milestone",
                    pick=_TIME_TO_VALUE,
                    group_by="milestone",
                    tone="violet",
                ),
            ),
        ),
        Section(
            key="outcomes",
            title="What it brings them",
            blocks=(
                Breakdown(
                    title="Median change of customers’ own figures",
                    pick=Pick(kpi="outcome_change"),
                    group_by="metric",
                    tone="green",
                ),
                Breakdown(
                    title="Referrals by how likely they were",
                    pick=Pick(kpi="referrals", months=_YEAR),
                    group_by="likely",
                    tone="teal",
                ),
            ),
        ),
    ),
)

TEAM = Dashboard(
    slug="team",
    label="Team",
    intro="What each CSM looks after, what they do for it, and how their accounts fare.",
    sections=(
        Section(
            key="figures",
            tiles=(
                Tile(kpi="touches", has_course=False),
                Tile(kpi="touch_coverage", label="Touch coverage", tone="green", has_course=False),
                Tile(kpi="tasks_completed", has_course=False),
                Tile(kpi="accounts_at_risk", tone="red", has_course=False),
            ),
        ),
        Section(
            key="csms",
            title="By CSM",
            blocks=(
                PerGroup(
                    title="What they look after",
                    group_by="csm",
                    corner="CSM",
                    picks=(
                        Pick(kpi="customer_count", label="Customers"),
                        Pick(kpi="mrr", label="MRR"),
                        Pick(kpi="net_new_mrr", label="Net new MRR"),
                        Pick(kpi="nrr", months=_YEAR, label="NRR, 12 months"),
                        Pick(kpi="customer_churn_rate", label="Churn"),
                        Pick(kpi="average_health", label="Health"),
                        Pick(kpi="accounts_at_risk", label="At risk"),
                        Pick(kpi="nps", label="NPS"),
                    ),
                ),
                PerGroup(
                    title="What they do",
                    group_by="csm",
                    corner="CSM",
                    picks=(
                        Pick(kpi="touches", label="Touches"),
                        Pick(kpi="touch_coverage", label="Coverage"),
                        Pick(kpi="demos_booked", label="Demos"),
                        Pick(kpi="trainings_held", label="Trainings"),
                        Pick(kpi="tasks_completed", label="Tasks"),
                        Pick(kpi="onboarding_completion_rate", label="Onboarded"),
                        Pick(kpi="ticket_backlog", label="Open tickets"),
                    ),
                ),
            ),
        ),
        Section(
            key="days",
            title="Day by day",
            blocks=(
                Course(
                    title="Touches and tasks",
                    picks=(
                        Pick(kpi="touches", label="Touches"),
                        Pick(kpi="tasks_completed", label="Tasks completed"),
                    ),
                    tones=("accent", "green"),
                    is_fine=True,
                    is_wide=True,
                ),
            ),
        ),
    ),
)

CSM = Dashboard(
    slug="csm",
    label="CSM",
    intro="How the accounts of one CSM do, and what was done for them.",
    is_of_one_csm=True,
    sections=(
        Section(
            key="figures",
            tiles=(
                _MRR,
                _NRR,
                _GRR,
                _CHURN,
                Tile(kpi="customer_count"),
                _HEALTH,
                _MRR_AT_RISK,
                _NPS,
                Tile(kpi="touches", has_course=False),
                Tile(kpi="touch_coverage", tone="green", has_course=False),
                Tile(kpi="tasks_completed", has_course=False),
                Tile(kpi="ticket_backlog", label="Open tickets", tone="red", has_course=False),
            ),
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
            blocks=(_WATERFALL, LargestMovements(title="Largest movements", is_wide=True)),
        ),
    ),
)

DASHBOARDS = {
    dashboard.slug: dashboard
    for dashboard in (EXECUTIVE, REVENUE, VOICE, SUPPORT, ADOPTION, ONBOARDING, TEAM, CSM)
}
