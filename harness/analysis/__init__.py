"""Several results side by side: comparison, leaderboard, nightly series, reruns, status."""
