"""Making it again: plan, workspace, execution, comparison."""
