"""Who may do what: evaluating the policy, storing grants, and what is protected from everybody."""
