package dashboards

func prometheusBoards(documents) []board { return nil }
