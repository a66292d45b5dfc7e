"""What each op is: its options, its shapes, its costs. Nothing here touches an array."""
