/* SPDX-License-Identifier: GPL-2.0-or-later */
/* vzmon: one a VPS, init's parent. Started by vzctl with the control socket as descriptor 3. */
#include "context/mon.h"

int main(void)
{
	return mon_main(3);
}
